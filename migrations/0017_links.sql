-- What interfaces are in a VLAN, a VRF, a tunnel, a bridge or a bond. Rows from before have none of it.

ALTER TABLE interface_tuple ADD COLUMN vlan_id INTEGER;
ALTER TABLE interface_tuple ADD COLUMN vrf_table INTEGER;
ALTER TABLE interface_tuple ADD COLUMN tunnel TEXT;
ALTER TABLE interface_tuple ADD COLUMN member_state TEXT;
ALTER TABLE interface_tuple ADD COLUMN link_failures INTEGER;
ALTER TABLE interface_event ADD COLUMN vlan_id INTEGER;
ALTER TABLE interface_event ADD COLUMN vrf_table INTEGER;
ALTER TABLE interface_event ADD COLUMN tunnel TEXT;
ALTER TABLE interface_event ADD COLUMN member_state TEXT;
ALTER TABLE interface_event ADD COLUMN link_failures INTEGER;
