package owners

import (
	"bytes"
	"strings"
	"testing"
)

// Each is a command line whose arguments are parted by |, and what of it is recorded.
func TestMask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		// Flags of any program.
		{"x|--password=s3cret|y", "x|--password=***|y"},
		{"x|--password|s3cret|y", "x|--password|***|y"},
		{"x|--password=a b=c --d|y", "x|--password=***|y"},
		{"x|--password|-s3cret|y", "x|--password|***|y"},
		{"x|--PassWord=s3cret", "x|--PassWord=***"},
		{"x|--pwd|s3cret", "x|--pwd|***"},
		{"x|-password|s3cret|-token=s3cret", "x|-password|***|-token=***"},
		{"x|--token|s3cret|--secret=s3cret|--api-key|s3cret|--apikey=s3cret", "x|--token|***|--secret=***|--api-key|***|--apikey=***"},
		{"x|--passphrase|s3cret|--auth|s3cret|--requirepass|s3cret", "x|--passphrase|***|--auth|***|--requirepass|***"},
		{"java|-Djavax.net.ssl.keyStorePassword=s3cret|-jar|x.jar", "java|-Djavax.net.ssl.keyStorePassword=***|-jar|x.jar"},
		{"keytool|-storepass|s3cret|-alias|x", "keytool|-storepass|***|-alias|x"},
		{"x|--client-secret|s3cret|--clientSecret=s3cret|--authAPIKey=s3cret", "x|--client-secret|***|--clientSecret=***|--authAPIKey=***"},
		// Flags of one letter.
		{"mysql|-uroot|-ps3cret|db", "mysql|-uroot|-p***|db"},
		{"/usr/bin/mariadb-dump|-ps3cret", "/usr/bin/mariadb-dump|-p***"},
		{"sudo|-n|mysqldump|-ps3cret", "sudo|-n|mysqldump|-p***"},
		{"docker|exec|db|mysql|-ps3cret", "docker|exec|db|mysql|-p***"},
		{"sshpass|-p|s3cret|ssh|-p|22|host", "sshpass|-p|***|ssh|-p|22|host"},
		{"sshpass|-ps3cret|scp|a|b:", "sshpass|-p***|scp|a|b:"},
		{"redis-cli|-h|h|-a|s3cret|ping", "redis-cli|-h|h|-a|***|ping"},
		{"curl|-u|ann:s3cret|http://h/", "curl|-u|ann:***|http://h/"},
		{"curl|-sSu|ann:s3:cret|-oout", "curl|-sSu|ann:***|-oout"},
		{"curl|-uann:s3cret|-U|p:s3cret|--proxy-user|p:s3cret", "curl|-uann:***|-U|p:***|--proxy-user|p:***"},
		{"curl|-u|:s3cret|-u|token=s3cret", "curl|-u|:***|-u|token=***"},
		{"curl|--user=ann:s3cret", "curl|--user=ann:***"},
		{"curl|-u|ann|http://h:80/", "curl|-u|ann|http://h:80/"},
		{"ldapsearch|-x|-D|cn=admin|-w|s3cret|-b|dc=x", "ldapsearch|-x|-D|cn=admin|-w|***|-b|dc=x"},
		{"ldapsearch|-xws3cret|-y|/etc/p", "ldapsearch|-xw***|-y|/etc/p"},
		{"mongosh|-u|ann|-p|s3cret", "mongosh|-u|ann|-p|***"},
		{"smbclient|-U|ann%s3cret|//h/s", "smbclient|-U|ann%***|//h/s"},
		{"ipmitool|-P|s3cret|power", "ipmitool|-P|***|power"},
		{"docker|login|-u|ann|-p|s3cret", "docker|login|-u|ann|-p|***"},
		{"7z|x|-ps3cret|a.7z", "7z|x|-p***|a.7z"},
		// Where openssl has passwords from.
		{"openssl|rsa|-in|k|-passin|pass:s3cret|-passout|file:/etc/p", "openssl|rsa|-in|k|-passin|pass:***|-passout|file:/etc/p"},
		{"openssl|enc|-pass|env:PW|-k|s3cret|-keyform|pem", "openssl|enc|-pass|env:PW|-k|***|-keyform|pem"},
		// Headers of HTTP.
		{"curl|-H|Authorization: Bearer s3cret|http://h", "curl|-H|Authorization: ***|http://h"},
		{"curl|-H|X-Api-Key:s3cret", "curl|-H|X-Api-Key:***"},
		{"curl|-HX-API-key:s3cret|--header|private-token: s3cret", "curl|-HX-API-key:***|--header|private-token: ***"},
		{"wget|--header=authorization: Basic s3cret|-H|Accept: text/html", "wget|--header=authorization: ***|-H|Accept: text/html"},
		{"curl|-sH|cookie: a=s3cret; b=s3cret", "curl|-sH|cookie: ***"},
		{"http|h|Authorization:Bearer s3cret", "http|h|Authorization:***"},
		{"curl|-H|Authorization:|file", "curl|-H|Authorization:|file"},
		// Addresses.
		{"git|clone|https://ann:s3cret@host/x.git", "git|clone|https://ann:***@host/x.git"},
		{"x|--url=postgres://ann:s3c@ret@h:5432/db?sslmode=on", "x|--url=postgres://ann:***@h:5432/db?sslmode=on"},
		{"x|postgres://ann:s3/cret@h/db", "x|postgres://ann:***@h/db"},
		{"x|redis://:s3cret@h:6379/0", "x|redis://:***@h:6379/0"},
		{"x|http://a:s3cret@h,http://b:s3cret@i", "x|http://a:***@h,http://b:***@i"},
		{"curl|http://h/p?a=b&token=s3cret&c=d#e", "curl|http://h/p?a=b&token=***&c=d#e"},
		{"curl|http://h/p?access_token=s3cret#e", "curl|http://h/p?access_token=***#e"},
		// Variables and other names with a value.
		{"env|PGPASSWORD=s3cret|psql", "env|PGPASSWORD=***|psql"},
		{"docker|run|-e|DB_PASS=s3 cret, x=y|-eTOKEN=s3cret|image", "docker|run|-e|DB_PASS=***|-eTOKEN=***|image"},
		{"docker|run|--env=DB_PASSWORD2=s3,cret|image", "docker|run|--env=DB_PASSWORD2=***|image"},
		{"env|AWS_SECRET_ACCESS_KEY=s3cret|API_KEY=s3cret|PRIVATE_KEY=s3cret|MYSQL_PWD=s3cret|CREDENTIAL=s3cret", "env|AWS_SECRET_ACCESS_KEY=***|API_KEY=***|PRIVATE_KEY=***|MYSQL_PWD=***|CREDENTIAL=***"},
		{"helm|--set|password=s3cret,db.password=s3cret,user=ann", "helm|--set|password=***,db.password=***,user=ann"},
		{"kubectl|create|--from-literal=password=s3cret", "kubectl|create|--from-literal=password=***"},
		{"psql|host=h password=s3cret user=ann", "psql|host=h password=*** user=ann"},
		{"psql|password='s3 cret' sslpassword=s3cret port=1", "psql|password=*** sslpassword=*** port=1"},
		{"mount|-o|user=ann,password=s3,cret,vers=3|//h/s", "mount|-o|user=ann,password=***,vers=3|//h/s"},
		{"curl|-d|user=ann&password=s3cret&go=1", "curl|-d|user=ann&password=***&go=1"},
		{"sqlcmd|Server=h;UID=sa;PWD=s3cret;Database=x", "sqlcmd|Server=h;UID=sa;PWD=***;Database=x"},
		{`curl|-d|{"user":"ann","password":"s3 \"cret","go":1}`, `curl|-d|{"user":"ann","password":"***","go":1}`},
		{`curl|-d|{"api_key": "s3cret", "go": 1}`, `curl|-d|{"api_key": *** "go": 1}`},
		// Lines for the shell, and titles.
		{"sh|-c|PGPASSWORD=s3cret psql -h db", "sh|-c|PGPASSWORD=*** psql -h db"},
		{"bash|-lc|cd /x; mysql -p's3 cret' db && echo ok", "bash|-lc|cd /x; mysql -p*** db && echo ok"},
		{"sh|-c|curl -H \"Authorization: Bearer s3cret\" http://h", "sh|-c|curl -H \"Authorization: ***\" http://h"},
		{"sh|-c|ssh h 'mysql -ps3cret db'|x", "sh|-c|ssh h 'mysql -p*** db'|x"},
		{"ssh|h|TOKEN=s3cret; x --go", "ssh|h|TOKEN=***; x --go"},
		{"worker --password s3cret --go", "worker --password *** --go"},
		{"worker --password=s3cret --go", "worker --password=*** --go"},
		{"worker -H Authorization: Bearer s3cret --go", "worker -H Authorization: *** *** --go"},
		{"mysql -ps3cret db", "mysql -p*** db"},
		{`sh|-c|don't --password "a s3cret" --go`, `sh|-c|don't --password *** --go`},
		{`sh|-c|x" --password 'a s3cret' --go`, `sh|-c|x" --password *** --go`},
		{"sh|-c|don't --password s3cret --go", "sh|-c|don't --password *** --go"},
		{`sh|-c|x --password a\ s3cret --go`, `sh|-c|x --password *** --go`},
		{`sh|-c|x --password "a\" s3cret" --go`, `sh|-c|x --password *** --go`},
		{`sh|-c|x --password 'a s3cret\' --go`, `sh|-c|x --password *** --go`},
		{"x|a b|a b|a b|a b|a b|mysql -ps3cret db", "x|a b|a b|a b|a b|a b|mysql -p*** db"},
		{"su|--command|PASSWORD=s3cret psql -h", "su|--command|PASSWORD=*** psql -h"},
		{"sh|-c|curl -H 'X-Api-Key:s3cret' http://h", "sh|-c|curl -H 'X-Api-Key:***' http://h"},
		{"worker -H Authorization: Bearer -s3cret s3cret --go http://h", "worker -H Authorization: *** *** *** --go http://h"},
		{"docker|--env=DB_PASS=s3 cret|image", "docker|--env=DB_PASS=***|image"},
		{"psql|password='s3 x=y cret' user=ann", "psql|password=*** user=ann"},
		{"env|TOKEN=s3cret;", "env|TOKEN=***"},
		{"x|--set|password=s3cret==,user=ann", "x|--set|password=***,user=ann"},
		{"x|AccountName=a;AccountKey=s3cret", "x|AccountName=a;AccountKey=***"},
		{"http|h|Authorization:s3cret", "http|h|Authorization:***"},
		{"worker Authorization: Basic s3cret --go", "worker Authorization: *** *** --go"},
		{`sh|-c|curl -d "{\"password\":\"s3cret\",\"go\":1}" h`, `sh|-c|curl -d "{\"password\":\"***\",\"go\":1}" h`},
		{`x|{"secret":s3cret,"go":1}`, `x|{"secret":***,"go":1}`},
		// What is empty stays empty, and what is masked stays masked.
		{"x|--password=|y", "x|--password=|y"},
		{"x|--password||y", "x|--password||y"},
		{"x|TOKEN=|http://ann:@h/", "x|TOKEN=|http://ann:@h/"},
		{"x|--password=***|--token|***", "x|--password=***|--token|***"},
	} {
		if got := masked(c.text, false); got != c.want {
			t.Errorf("%s\nis masked as %s\nwant         %s", c.text, got, c.want)
		}
		if got := masked(c.text, true); strings.Contains(got, "s3") {
			t.Errorf("%s\nis masked as %s\nwhen it may go on", c.text, got)
		}
	}
}

func masked(text string, cut bool) string {
	b := mask([]byte(strings.ReplaceAll(text, "|", "\x00")), cut)
	return string(bytes.ReplaceAll(b, []byte{0}, []byte("|")))
}

// What looks like a secret and is none stays.
func TestMaskLeaves(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "|", "|||", "sleep|60", "nginx: master process /usr/sbin/nginx -g daemon off;", "postgres: ann db [local] idle",
		"grep|password|file", "grep|password: |file", "passwd|root", "echo|--", "x|-", "x|--=|-=",
		"x|--password-file|/etc/x", "x|--password-file=/etc/x", "x|--no-password|y", "x|--password-stdin|y", "x|--ask-password|y",
		"x|--password|--host|h", "sh|-c|x --token|y", "x|--token|-v", "x|--password",
		"tar|-p|x", "tar|-px", "ssh|-p|22|h", "ssh|-p22|h", "mysql|-p|db", "mysql|-P3306|-p", "psql|-p|5432", "nc|-p|80", "ffmpeg|-pass|1|-i|x",
		"docker|run|--name|mysql|-p3306:3306|x", "docker|run|-p|80:80|x", "docker|run|-eTOKEN|image", "ssh|-h|mysql|-p22",
		"curl|-H|Accept: a/b|-o|out|http://h:80/", "curl|-ou:x|http://h", "docker|-H|tcp://h:1", "docker|run|--user|1000:1000|-v|secret:/run/s|x",
		"chown|ann:adm|f", "git|clone|https://host/a:b@c", "git|clone|git@host:a/b", "x|http://[fe80::1]:80/a@b", "x|http://h:80/a@b", "x|http://h:80", "x|http://h:port", "x|https://ann@h/x",
		"git|-c|credential.helper=store|fetch", "env|COMPASS=1|BYPASS=1|TOKENIZER=x|PWD=/home|OLDPWD=/|MAX_TOKENS=5|AUTHOR=ann|KEY=x|MONKEY=x",
		"env|POSTGRES_PASSWORD_FILE=/run/p|TOKEN_URL=http://h|SECRET_NAME=x|PASSWORD_LENGTH=8", "x|--max-tokens|5", "x|--pass-through|a", "x|--key|/etc/k.pem", "x|--author|ann",
		"openssl|rsa|-in|k|-keyout|o|-passin|stdin", "x|don't --go|it's", `x|{"keys":"a","name":"b"}`, "x|http://h/?page=1&size=2#token",
	} {
		if got := masked(text, false); got != text {
			t.Errorf("%s\nis masked as %s", text, got)
		}
	}
}

// A secret of which only the beginning was read is masked like a whole one.
func TestMaskCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"x|--password=s3", "x|--password=***"},
		{"x|--password|s3", "x|--password|***"},
		{"x|http://ann:s3", "x|http://ann:***"},
		{"x|http://ann:12", "x|http://ann:***"},
		{"x|http://ann:12/x", "x|http://ann:12/x"},
		{"x|http://ann:12|y", "x|http://ann:12|y"},
		{"sh|-c|mysql -p's3 cr", "sh|-c|mysql -p***"},
		{`x|-d|{"password":"s3 c`, `x|-d|{"password":"***`},
		{"x|--pass", "x|--pass"},
	} {
		if got := masked(c.text, true); got != c.want {
			t.Errorf("%s\nis masked as %s\nwant         %s", c.text, got, c.want)
		}
	}
}

// FuzzMask plants a secret in places where it is one, among words that are any.
func FuzzMask(f *testing.F) {
	for i := range len(places) {
		f.Add("curl -s", "http://ann@h/ it's \"x", byte(i), byte(i*7))
		f.Add("mysql -p'", "--password x", byte(i), byte(i))
		f.Add("sh -c", "-H 'Authorization: Bearer", byte(i), byte(0))
		f.Add("x password=y", "TOKEN=w;", byte(i), byte(255))
	}
	f.Fuzz(func(t *testing.T, before, after string, place, cut byte) {
		const secret = "Q7zQ7zQ7zQ7z"
		text := before + "\x00" + strings.ReplaceAll(places[int(place)%len(places)], "SECRET", secret) + "\x00" + after
		if strings.Contains(before+after, secret[:1]) {
			t.Skip("the secret stands elsewhere too")
		}
		isCut := cut > 0
		if isCut {
			// Cut in the middle of the secret.
			text = text[:strings.LastIndex(text, secret)+1+int(cut)%len(secret)]
		}
		for _, text := range []string{text, before, after, strings.ReplaceAll(before+" "+after, "\x00", " ")} {
			in := []byte(text)
			got := mask(in, isCut)
			if string(in) != text {
				t.Fatalf("%q has become %q", text, in)
			}
			if again := mask(got, isCut); !bytes.Equal(got, again) {
				t.Errorf("%q is masked as\n%q, and that as\n%q", text, got, again)
			}
			if bytes.Contains(got, []byte(secret[:1])) {
				t.Errorf("%q is masked as\n%q", text, got)
			}
			if len(got) > 3*len(text) {
				t.Errorf("%q grows from %d bytes to %d", text, len(text), len(got))
			}
		}
	})
}

// places are arguments in which SECRET is one, whatever stands before and after them.
var places = []string{
	"--password=SECRET", "--db-password=SECRET", "x\x00--token\x00SECRET", "TOKEN=SECRET", "DB_PASS=a,b=c;SECRET", "a=b,password=SECRET",
	"https://ann:SECRET@h/x", "http://h/?a=b&token=SECRET&c", "x\x00mysql\x00-uroot\x00-pSECRET", "x\x00sshpass\x00-p\x00SECRET",
	"x\x00curl\x00-u\x00ann:SECRET", "x\x00-H\x00Authorization: Bearer SECRET", "x\x00-HX-Api-Key: SECRET", `{"password":"SECRET"}`,
	"x\x00openssl\x00rsa\x00-passin\x00pass:SECRET", "host=h password=SECRET user=x", "x\x00sh\x00-c\x00PGPASSWORD=SECRET psql -h x",
	"x\x00sh\x00-c\x00ssh h 'mysql -p\"SECRET\"'",
}

// BenchmarkMask prints what masking costs: of a command line without a secret, and of one with some.
func BenchmarkMask(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"short", "nginx: worker process"},
		{"plain", "/usr/lib/jvm/java-17/bin/java|-Xmx4g|-XX:+UseG1GC|-Djava.io.tmpdir=/tmp|-cp|/opt/app/lib/*|com.example.Main|--port|8080|--config=/etc/app.yml"},
		{"secrets", "curl|-sS|-u|ann:s3cret|-H|Authorization: Bearer s3cret|http://ann:s3cret@h/?token=s3cret&a=b"},
		{"long", strings.Repeat("--some-flag=value|/a/path/to/a/file.jar|", 110)[:4096]},
	} {
		text := []byte(strings.ReplaceAll(c.text, "|", "\x00"))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mask(text, false)
			}
		})
	}
}
