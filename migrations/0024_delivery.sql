-- How fast a connection delivers, and whether its application could have sent more. Rows from before do not say.

ALTER TABLE socket_tuple ADD COLUMN delivery_rate INTEGER;
ALTER TABLE socket_tuple ADD COLUMN app_limited INTEGER;
