package query

import (
	"strconv"
	"strings"
	"sync"
)

// serviceName names the service that is expected on a port, or "". Without a
// protocol it looks among tcp, then udp. "tcp6" is tcp.
func serviceName(port float64, proto string) string {
	if port < 1 || port > 65535 || port != float64(int(port)) {
		return ""
	}
	names := servicesByPort()
	proto = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(proto)), "6")
	for _, p := range []string{"tcp", "udp"} {
		if name := names[servicePort{int(port), p}]; name != "" && (proto == "" || proto == p) {
			return name
		}
	}
	return ""
}

type servicePort struct {
	port  int
	proto string
}

var servicesByPort = sync.OnceValue(func() map[servicePort]string {
	names := make(map[servicePort]string)
	for proto, table := range map[string]string{"tcp": tcpServices, "udp": udpServices} {
		fields := strings.Fields(table)
		for i := 0; i+1 < len(fields); i += 2 {
			port, _ := strconv.Atoi(fields[i])
			names[servicePort{port, proto}] = fields[i+1]
		}
	}
	return names
})

// The names are those of /etc/services (Debian 12) and IANA where they have
// one, else of the program whose default the port is; the file itself may be
// missing where a recording is read, and knows no Kubernetes.
const tcpServices = `
1 tcpmux 7 echo 9 discard 11 systat 13 daytime 15 netstat 17 qotd 19 chargen 20 ftp-data 21 ftp 22 ssh 23 telnet
25 smtp 37 time 43 whois 49 tacacs 53 domain 70 gopher 79 finger 80 http 88 kerberos 102 iso-tsap 104 acr-nema
110 pop3 111 sunrpc 113 auth 119 nntp 135 epmap 139 netbios-ssn 143 imap2 161 snmp 162 snmp-trap 179 bgp 199 smux
209 qmtp 389 ldap 427 svrloc 443 https 445 microsoft-ds 464 kpasswd 465 submissions 502 modbus 512 exec 513 login
514 shell 515 printer 540 uucp 543 klogin 544 kshell 548 afpovertcp 554 rtsp 563 nntps 587 submission 631 ipp
636 ldaps 646 ldp 655 tinc 749 kerberos-adm 783 spamd 830 netconf-ssh 853 domain-s 860 iscsi 873 rsync 902 vmware-auth
989 ftps-data 990 ftps 992 telnets 993 imaps 995 pop3s 1080 socks 1099 rmiregistry 1194 openvpn 1352 lotusnote
1433 ms-sql-s 1521 oracle 1723 pptp 1812 radius 1813 radius-acct 1883 mqtt 1935 rtmp 2000 cisco-sccp 2049 nfs
2181 zookeeper 2375 docker 2376 docker-s 2377 swarm 2379 etcd-client 2380 etcd-server 2401 cvspserver
2483 oracle-tcp 2484 oracle-tcps 2601 zebra 2605 bgpd 2628 dict 2947 gpsd 3050 gds-db 3128 squid
3205 isns 3260 iscsi-target 3268 msft-gc 3269 msft-gc-ssl 3306 mysql 3389 ms-wbt-server 3478 stun 3493 nut
3632 distcc 3689 daap 3690 svn 4190 sieve 4222 nats 4369 epmd 4444 selenium 4505 salt-publish 4506 salt-return
4789 vxlan 4949 munin 5044 beats 5060 sip 5061 sip-tls 5201 iperf3 5222 xmpp-client 5269 xmpp-server
5349 stuns 5355 llmnr 5432 postgresql 5555 adb 5601 kibana 5666 nrpe 5667 nsca 5671 amqps 5672 amqp
5693 ncpa 5900 vnc 5901 vnc-1 5984 couchdb 5985 wsman 5986 wsmans 6000 x11 6001 x11-1 6002 x11-2 6081 geneve
6379 redis 6380 redis-tls 6432 pgbouncer 6443 kube-apiserver 6514 syslog-tls 6566 sane-port 6633 openflow
6653 openflow 6667 ircd 6697 ircs-u 6789 ceph-mon 3300 ceph-mon 7000 cassandra 7001 cassandra-tls 7077 spark
7199 cassandra-jmx 7946 swarm-gossip 8008 http-alt 8009 ajp13 8080 http-alt 8086 influxdb
8123 clickhouse-http 8125 statsd 8140 puppet 8200 vault 8300 consul-rpc 8301 consul-serf 8302 consul-wan
8333 bitcoin 8443 https-alt 8500 consul 8501 consul-https 8600 consul-dns 8883 secure-mqtt 8983 solr
9000 cslistener 9042 cassandra-cql 9090 prometheus 9091 pushgateway 9092 kafka 9093 alertmanager 9100 node-exporter
9101 bacula-dir 9102 bacula-fd 9103 bacula-sd 9160 cassandra-thrift 9200 elasticsearch 9300 elasticsearch-node 9411 zipkin
9418 git 10000 webmin 10050 zabbix-agent 10051 zabbix-trapper 10248 kubelet-healthz
10249 kube-proxy-metrics 10250 kubelet 10255 kubelet-ro 10256 kube-proxy-healthz 10257 kube-controller-manager
10259 kube-scheduler 10809 nbd 11211 memcached 11371 hkp 15672 rabbitmq-http 16379 redis-cluster 19999 netdata
22000 syncthing 25565 minecraft 25672 rabbitmq-dist 26257 cockroachdb 27017 mongodb 27018 mongodb-shard
27019 mongodb-config 32400 plex 33060 mysqlx 50000 db2 50051 grpc 51413 bittorrent 61613 stomp 61616 activemq`

const udpServices = `
7 echo 9 discard 13 daytime 19 chargen 37 time 49 tacacs 53 domain 67 bootps 68 bootpc 69 tftp 88 kerberos 111 sunrpc
123 ntp 137 netbios-ns 138 netbios-dgm 161 snmp 162 snmp-trap 177 xdmcp 319 ptp-event 320 ptp-general 389 ldap
427 svrloc 443 https 464 kpasswd 500 isakmp 514 syslog 517 talk 520 route 521 ripng 546 dhcpv6-client 547 dhcpv6-server
623 asf-rmcp 646 ldp 655 tinc 853 domain-s 1194 openvpn 1434 ms-sql-m 1645 radius-old 1646 radius-acct-old 1701 l2tp
1812 radius 1813 radius-acct 1900 ssdp 2049 nfs 2055 netflow 3130 icpv2 3205 isns 3478 stun 3493 nut 3544 teredo
3702 ws-discovery 3784 bfd-control 3785 bfd-echo 4500 ipsec-nat-t 4569 iax 4739 ipfix 4789 vxlan 5060 sip 5061 sip-tls
5201 iperf3 5349 stuns 5351 nat-pmp 5353 mdns 5355 llmnr 5404 corosync 5405 corosync 6081 geneve 6343 sflow 6696 babel
7946 swarm-gossip 8125 statsd 8301 consul-serf 8302 consul-wan 8472 flannel-vxlan 8600 consul-dns 10001 ubnt-discover
17500 db-lsp 19132 minecraft 21027 syncthing-discover 22000 syncthing 41641 tailscale 51413 bittorrent 51820 wireguard
60001 mosh`
