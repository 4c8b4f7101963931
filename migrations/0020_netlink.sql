-- Netlink sockets: which groups they have joined. Rows from before have none.

ALTER TABLE socket_tuple ADD COLUMN netlink_groups TEXT;
