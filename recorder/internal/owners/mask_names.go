package owners

// What is taken for a secret in a command line. The lists are short on purpose: a flag is in them when its value is a password, a
// key or a token in the program that is named. The manual has them in words (cmd/netsql/manual/permissions.md).

// secretEndings end a word of a name that stands for a secret, as PGPASSWORD and clientsecret do.
var secretEndings = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "credential", "credentials"}

// secretWords are whole words: others end like them, such as compass.
var secretWords = []string{"pass", "dbpass", "keypass", "requirepass", "rootpass", "sshpass", "sslpass", "storepass", "userpass", "masterauth"}

// keyOwners make a secret of the word key that follows them; other keys are names of files, or no secret.
var keyOwners = []string{"access", "account", "api", "auth", "encryption", "master", "private", "secret", "signing", "subscription"}

// A name that ends with one of aboutSecrets, or begins with one of notGiven, says something about a secret and does not give it.
var (
	aboutSecrets = []string{"algorithm", "cmd", "command", "count", "dir", "duration", "enabled", "endpoint", "env", "expiration", "expiry",
		"fd", "file", "files", "format", "helper", "length", "lifetime", "limit", "name", "path", "policy", "prompt", "required", "size",
		"stdin", "through", "thru", "timeout", "ttl", "type", "uri", "url"}
	notGiven = []string{"ask", "no", "prompt", "skip", "without"}
)

// secretFlagNames are flags whose value is a secret, though a variable of that name would not be.
var secretFlagNames = []string{"auth", "bearer", "proxy-auth", "oauth2-bearer"}

// secretHeaders are headers of HTTP that give a secret, beside those with a name that says so, such as X-Api-Key.
var secretHeaders = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// schemes stand before what is secret in an Authorization header.
var schemes = []string{"apikey", "basic", "bearer", "digest", "negotiate", "token"}

// shortFlags are the one-letter flags of a program that give a secret.
type shortFlags struct {
	value    string // the value is secret: -pX or -p X
	apart    string // only that of -k X is
	attached string // only -pX is: -p alone asks for it
	user     string // the value is like user:password, or has another of the marks after the user
	marks    string
	alone    string // flags without a value, which may stand before one of these: -su user:password
	sources  bool   // passwords are given as pass:X, while file:X, env:X and fd:X say where they are
}

var (
	ofMySQL   = &shortFlags{attached: "p"}
	ofMongo   = &shortFlags{value: "p"}
	ofLDAP    = &shortFlags{value: "w", alone: "nvACILMNQtuWxZVc"}
	ofRedis   = &shortFlags{value: "a"}
	ofSQL     = &shortFlags{value: "P"}
	ofSNMP    = &shortFlags{value: "cAX"}
	ofSamba   = &shortFlags{user: "U", marks: "%"}
	ofZip     = &shortFlags{value: "P", alone: "rjqveTmyD0123456789"}
	ofArchive = &shortFlags{attached: "p"}
	ofOthers  = &shortFlags{} // they follow sshpass, and their -p is a port or the like
)

// programs are those that have such flags, and some that a program with such flags runs.
var programs = map[string]*shortFlags{
	"mysql": ofMySQL, "mysqladmin": ofMySQL, "mysqlbinlog": ofMySQL, "mysqlcheck": ofMySQL, "mysqldump": ofMySQL, "mysqlimport": ofMySQL,
	"mysqlpump": ofMySQL, "mysqlsh": ofMySQL, "mysqlshow": ofMySQL, "mysqlslap": ofMySQL, "mycli": ofMySQL, "xtrabackup": ofMySQL,
	"mariadb": ofMySQL, "mariadb-admin": ofMySQL, "mariadb-backup": ofMySQL, "mariabackup": ofMySQL, "mariadb-binlog": ofMySQL,
	"mariadb-check": ofMySQL, "mariadb-dump": ofMySQL, "mariadb-import": ofMySQL, "mariadb-show": ofMySQL, "mariadb-slap": ofMySQL,

	"mongo": ofMongo, "mongosh": ofMongo, "mongodump": ofMongo, "mongorestore": ofMongo, "mongoexport": ofMongo, "mongoimport": ofMongo,
	"mongofiles": ofMongo, "mongostat": ofMongo, "mongotop": ofMongo,

	"ldapadd": ofLDAP, "ldapcompare": ofLDAP, "ldapdelete": ofLDAP, "ldapexop": ofLDAP, "ldapmodify": ofLDAP, "ldapmodrdn": ofLDAP,
	"ldapsearch": ofLDAP, "ldapwhoami": ofLDAP, "ldappasswd": {value: "was"},

	"redis-cli": ofRedis, "valkey-cli": ofRedis, "keydb-cli": ofRedis,
	"sqlcmd": ofSQL, "bcp": ofSQL, "tsql": ofSQL, "ipmitool": ofSQL,
	"snmpget": ofSNMP, "snmpgetnext": ofSNMP, "snmpbulkget": ofSNMP, "snmpwalk": ofSNMP, "snmpbulkwalk": ofSNMP, "snmpset": ofSNMP,
	"snmptable": ofSNMP, "snmptrap": ofSNMP,
	"smbclient": ofSamba, "rpcclient": ofSamba,
	"zip": ofZip, "unzip": ofZip, "7z": ofArchive, "7za": ofArchive, "7zr": ofArchive, "rar": ofArchive, "unrar": ofArchive,

	"curl":    {user: "uU", marks: ":", alone: "012346aBfgGiIjJklLMnNOpqRsSvVZ#"},
	"lftp":    {user: "u", marks: ",:"},
	"openssl": {apart: "kK", sources: true},
	"sshpass": {value: "p"},
	"login":   {value: "p"}, // docker login and others

	"ssh": ofOthers, "autossh": ofOthers, "scp": ofOthers, "sftp": ofOthers, "rsync": ofOthers, "git": ofOthers, "watch": ofOthers,
}

// userFlagNames are long flags of curl with a value like user:password.
var userFlagNames = []string{"user", "proxy-user"}
