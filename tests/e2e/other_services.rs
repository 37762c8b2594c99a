//! The services that hold nothing of their own on the node, or nothing that lasts: memcached, mail, nfs, mongodb.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Test;
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("each_app_has_a_memcached_of_its_own", each_app_has_a_memcached_of_its_own),
    ("mail_goes_out_by_the_relay", mail_goes_out_by_the_relay),
    ("a_directory_of_another_server_is_mounted", a_directory_of_another_server_is_mounted),
    ("an_app_is_led_to_its_database_of_mongodb", an_app_is_led_to_its_database_of_mongodb),
];

/// Replaces the sections of services in the user's configuration.
fn configure(world: &World, section: &str) {
    let path = world.home.path().join("cloudtool.ini");
    fs::write(&path, section).expect("the configuration is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours alone");
}

fn each_app_has_a_memcached_of_its_own(world: &World) {
    let one = App::obeying("cached", "service.memcached =\nservice.files =\n");
    world.ok(["update", one.path_str(), "--host", "cached.test"]);
    let two = App::obeying_php("cached-php", "service.memcached =\n");
    world.ok(["update", two.path_str(), "--host", "php.cached.test"]);
    let python = |code: &str| {
        world.inside(
            "cached.test",
            &format!(
                "import os, pymemcache\nc = pymemcache.Client('unix:' + os.environ['CONFIG_MEMCACHED_SOCKET'])\n{code}"
            ),
        )
    };
    let php = |code: &str| {
        world.inside(
            "php.cached.test",
            &format!("$c = new Memcached(); $c->addServer(getenv('CONFIG_MEMCACHED_SOCKET'), 0); {code}"),
        )
    };
    assert_eq!(python("c.set('k', 'of python', noreply=False); print(c.get('k').decode())"), "of python");
    assert_eq!(
        php("echo json_encode($c->get('k')), $c->getResultMessage(); $c->set('k', 'of php'); echo $c->get('k');"),
        "falseNOT FOUNDof php"
    );
    assert_eq!(python("print(c.get('k').decode(), c.stats()[b'limit_maxbytes'])"), format!("of python {}", 64 << 20));
    // The neighbour's socket, and the one that the distribution has for everybody.
    let strange = "import socket
for address in ['/run/cloudtool-memcached-cached-php/socket', ('127.0.0.1', 11211)]:
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        s.connect(address); print('let in')
    except OSError as problem:
        print(type(problem).__name__)";
    assert_eq!(world.inside("cached.test", strange), "PermissionError\nConnectionRefusedError");
    // Another release: nothing is restarted, so the cache stays.
    one.write("more.txt", b"another release\n");
    world.ok(["update", one.path_str()]);
    assert_eq!(python("print(c.get('k').decode())"), "of python");
    // Other data: what was made from the old ones is forgotten.
    world.ok(["clear", "cached", "--no-backup", "-y"]);
    assert_eq!(python("print(c.get('k'))"), "None");
    // Another size: the caches are empty, and as large.
    configure(world, "[service:memcached]\nmemory = 32\n");
    world.ok(["update", one.path_str(), "--force"]);
    assert_eq!(python("print(c.get('k'), c.stats()[b'limit_maxbytes'])"), format!("None {}", 32 << 20));
    configure(world, "[service:memcached]\nmemory = much\n");
    let said = world.fails(1, ["update", one.path_str(), "--force"]);
    assert!(said.contains("memory = much in [service:memcached] is not a number of megabytes"), "{said}");
    configure(world, "[service:memcached]\nmemory = 64\n");
    assert_eq!(
        world.node_script("ls /etc/systemd/system/multi-user.target.wants | grep memcached"),
        "cloudtool-memcached@cached-php.service\ncloudtool-memcached@cached.service"
    );
    for app in ["cached", "cached-php"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
    configure(world, "");
    let left = "systemctl list-units --plain --no-legend 'cloudtool-memcached@*'; ls -d /run/cloudtool-memcached* /etc/systemd/system/multi-user.target.wants/*memcached* 2>/dev/null || true";
    assert_eq!(world.node_script(left), "", "remove --with-data");
}

/// A real SMTP server with TLS and a login, on the node.
const RELAY: &str = r#"
mkdir -p /opt/relay
cd /opt/relay
python3 -m venv venv
venv/bin/pip install -q --no-cache-dir 'aiosmtpd==1.4.*'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost' 2>/dev/null
cat >relay.py <<'PYTHON'
import asyncio, ssl
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        if not address.endswith("@example.com"):
            return "550 not from here"
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with open("/opt/relay/mails", "ab") as file:
            file.write(f"{session.auth_data.login.decode()}|{envelope.mail_from}|{envelope.rcpt_tos}\n".encode() + envelope.content)
        return "250 OK"

def login(server, session, envelope, mechanism, data):
    return AuthResult(handled=False, success=data.login == b"relay" and data.password == b"sesame-of-the-relay", auth_data=data)

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("cert.pem", "key.pem")
Controller(Handler(), "127.0.0.1", 2587, tls_context=context, require_starttls=True, auth_required=True, authenticator=login).start()
asyncio.new_event_loop().run_forever()
PYTHON
systemd-run --quiet --unit=test-relay --working-directory=/opt/relay venv/bin/python relay.py
python3 -I -S /usr/local/lib/cloudtool/runtime/await_port.py 2587
"#;
const PASSWORD: &str = "sesame-of-the-relay";

fn mail_goes_out_by_the_relay(world: &World) {
    world.node_script(RELAY);
    let app = App::obeying("mailer", "service.mail =\n");
    let update = |code: i32, settings: &str| {
        configure(world, &format!("[service:mail]\n{settings}"));
        world.fails(code, ["update", app.path_str(), "--host", "mailer.test", "--force"])
    };
    let good = "host = localhost\nport = 2587\ntls = starttls\nusername = relay\npassword = sesame-of-the-relay\nfrom = app@example.com\n";
    for (settings, reason) in [
        (String::new(), "no relay is set"),
        (good.to_owned(), "no certificate that this node trusts"),
        (good.replace("localhost", "-oProxyCommand=x y"), "is not the name or address of a relay"),
        (good.replace("2587", "2588"), "cannot be used"),
        (good.replace("2587", "smtp"), "is not a port"),
        (good.replace("app@example.com", ""), "is not an address to send from"),
        (
            good.replace("localhost", "relay.example.com").replace("starttls", "none"),
            "would cross the network as it is",
        ),
        (good.replace(PASSWORD, ""), "given together or not at all"),
    ] {
        let said = update(1, &settings);
        assert!(said.contains(reason) && !said.contains(PASSWORD), "{settings}: {said}");
    }
    world.node_script("cp /opt/relay/cert.pem /usr/local/share/ca-certificates/test-relay.crt; update-ca-certificates >/dev/null 2>&1");
    for (settings, reason) in [
        (good.replace(PASSWORD, "wrong"), "does not accept the login relay"),
        (good.replace("example.com", "example.org"), "does not take mail from app@example.org"),
    ] {
        let said = update(1, &settings);
        assert!(said.contains(reason), "{settings}: {said}");
    }
    let said = update(0, good);
    assert!(!said.contains(PASSWORD), "{said}");
    let send = r#"
import os, smtplib, ssl
e = {name: os.environ["CONFIG_SMTP_" + name] for name in ["HOST", "PORT", "TLS", "USERNAME", "PASSWORD", "FROM"]}
assert e["TLS"] == "starttls", e["TLS"]
with smtplib.SMTP(e["HOST"], int(e["PORT"])) as server:
    server.starttls(context=ssl.create_default_context())
    server.login(e["USERNAME"], e["PASSWORD"])
    server.sendmail(e["FROM"], ["you@example.net"], "Subject: hello\r\n\r\nIt arrives.\r\n")
print("sent")
"#;
    assert_eq!(world.inside("mailer.test", send), "sent");
    let mails = world.node_script("cat /opt/relay/mails");
    assert!(mails.starts_with("relay|app@example.com|['you@example.net']") && mails.contains("It arrives."), "{mails}");
    let modes =
        world.node_script("stat -c '%a %U' /etc/cloudtool/services/mail.json /run/cloudtool/services/mail.json");
    assert_eq!(modes, "600 root\n600 root");
    world.ok(["remove", "mailer", "-y", "--with-data"]);
    configure(world, "");
    world.node_script("systemctl stop test-relay; rm -r /opt/relay /usr/local/share/ca-certificates/test-relay.crt /etc/cloudtool/services/mail.json; update-ca-certificates --fresh >/dev/null 2>&1");
}

/// In the place of `mount.nfs`, for a kernel that knows no NFS: directories of the node are what the server `stand-in` exports.
const STAND_IN: &str = r#"
mkdir -p /srv/exports/one /srv/exports/two /srv/exports/three
chmod 777 /srv/exports/*
for name in one two three; do echo "of $name" >"/srv/exports/$name/file"; done
mv /sbin/mount.nfs /sbin/mount.nfs.real
cat >/sbin/mount.nfs <<'SH'
#!/bin/sh
case $1 in
stand-in:*) exec mount --bind "/srv/exports${1#stand-in:}" "$2" ;;
*) echo "mount.nfs: Connection refused for $1" >&2; exit 32 ;;
esac
SH
chmod 755 /sbin/mount.nfs
"#;
const MOUNTS: &str = "cat /proc/mounts | grep -o '/srv/cloudtool/apps/mounted/data/nfs-[0-9a-f]*' | sort -u | wc -l; \
    ls -d /etc/systemd/system/srv-cloudtool-apps-mounted-* 2>/dev/null | wc -l; \
    ls -d /etc/systemd/system/remote-fs.target.wants/srv-cloudtool-apps-mounted-* 2>/dev/null | wc -l; \
    ls -d /srv/cloudtool/apps/mounted/data/nfs-* 2>/dev/null | wc -l; grep -c srv/cloudtool /etc/fstab || true";

fn a_directory_of_another_server_is_mounted(world: &World) {
    let app = |value: &str| {
        let app = App::obeying("mounted", &format!("service.nfs = {value}\n"));
        (app.path_str().to_owned(), app)
    };
    for bad in ["", "stand-in:one", "stand-in:/a/../b", "a:/%i", "a:/x,exec"] {
        let (path, _app) = app(bad);
        let said = world.fails(1, ["update", &path, "--host", "mounted.test"]);
        assert!(said.contains("in app.ini is not a directory of a server, HOST:/PATH"), "{bad:?}: {said}");
    }
    // The real one: nobody answers, or the kernel does not know how. Nothing is left of it.
    let (path, _app) = app("127.0.0.1:/nowhere");
    let said = world.fails(1, ["update", &path, "--host", "mounted.test"]);
    assert!(said.contains("127.0.0.1:/nowhere cannot be mounted: mount"), "{said}");
    assert_eq!(world.node_script(MOUNTS), "0\n0\n0\n0\n0");
    assert_eq!(world.node_script("ss -Hltnu 'sport = 111'"), "", "no port mapper");
    world.node_script(STAND_IN);

    let update = |value: &str| {
        let (path, _app) = app(value);
        world.ok(["update", &path, "--host", "mounted.test"]);
    };
    let tell = "import os; d = os.environ['CONFIG_NFS_DIR']; print(open(d + '/file').read())";
    update("stand-in:/one");
    assert_eq!(world.inside("mounted.test", tell), "of one");
    world.inside("mounted.test", "import os; open(os.environ['CONFIG_NFS_DIR'] + '/made', 'w').write('by the app')");
    assert_eq!(world.node_script("cat /srv/exports/one/made"), "by the app");
    let options = world.node_script("systemctl show -p Options --value \"$(systemd-escape -p --suffix=mount /srv/cloudtool/apps/mounted/data/nfs-*)\"; sed -n 's/^Options=//p' /etc/systemd/system/srv-cloudtool-apps-mounted-*");
    assert!(options.ends_with("vers=4,nosuid,nodev,noexec,_netdev"), "{options}");
    let neighbour = App::obeying("mounted-not", "");
    world.ok(["update", neighbour.path_str(), "--host", "not.mounted.test"]);
    let one = world.inside("mounted.test", "import os; print(os.environ['CONFIG_NFS_DIR'])");
    let strange = format!(
        "try:\n    print(open('{one}/file').read())\nexcept OSError as problem:\n    print(type(problem).__name__)"
    );
    assert_eq!(world.inside("not.mounted.test", &strange), "PermissionError");

    // Another directory: the release before still has its own.
    update("stand-in:/two");
    assert_eq!(world.inside("mounted.test", tell), "of two");
    assert_eq!(world.node_script(MOUNTS), "2\n2\n2\n2\n0");
    world.ok(["rollback", "mounted"]);
    assert_eq!(world.inside("mounted.test", tell), "of one");
    update("stand-in:/two");
    update("stand-in:/three");
    assert_eq!(world.inside("mounted.test", tell), "of three");
    assert_eq!(world.node_script(MOUNTS), "2\n2\n2\n2\n0", "the first is gone");
    assert_eq!(world.node_script(&format!("test -e {one} && echo there || true")), "");
    // Without its server: the app cannot take the empty directory for the share.
    let closed = world.node_script(
        "umount -l /srv/cloudtool/apps/mounted/data/nfs-*; stat -c %a:%U /srv/cloudtool/apps/mounted/data/nfs-* | uniq",
    );
    assert_eq!(closed, "755:root");
    let (path, _app) = app("stand-in:/three");
    world.ok(["update", &path, "--force"]);
    assert_eq!(world.inside("mounted.test", tell), "of three", "mounted again");

    world.ok(["remove", "mounted", "-y", "--with-data"]);
    world.ok(["remove", "mounted-not", "-y", "--with-data"]);
    assert_eq!(world.node_script(MOUNTS), "0\n0\n0\n0\n0");
    assert_eq!(world.node_script("cat /srv/exports/*/file"), "of one\nof three\nof two", "what is on the server stays");
    world.node_script("mv /sbin/mount.nfs.real /sbin/mount.nfs; rm -r /srv/exports");
}

fn an_app_is_led_to_its_database_of_mongodb(world: &World) {
    let one = App::obeying("documents", "service.mongodb =\n");
    let two = App::obeying("documents-too", "service.mongodb =\n");
    let password = "sesame-of-mongodb";
    let good = format!("url = mongodb://apps:{password}@127.0.0.1:27999,127.0.0.1:22/?retryWrites=false\n");
    for (settings, reason) in [
        (String::new(), "no MongoDB server is set"),
        ("url = http://db\n".to_owned(), "is not an address like"),
        (good.replace("/?", "/admin?"), "names a database"),
        (good.clone() + "prefix = a.b\n", "prefix in [service:mongodb]"),
        (good.replace(":22/", ":27998/") + "prefix =\n", "MongoDB at 127.0.0.1:27998 does not answer"),
    ] {
        configure(world, &format!("[service:mongodb]\n{settings}"));
        let said = world.fails(1, ["update", one.path_str(), "--host", "documents.test"]);
        assert!(said.contains(reason) && !said.contains(password), "{settings}: {said}");
    }
    configure(world, &format!("[service:mongodb]\n{good}prefix = web1-\n"));
    world.ok(["update", one.path_str(), "--host", "documents.test"]);
    world.ok(["update", two.path_str(), "--host", "too.documents.test"]);
    for (host, name) in [("documents.test", "web1-documents"), ("too.documents.test", "web1-documents-too")] {
        // The driver reads it as it was meant, without asking the server.
        let told = world.inside(
            host,
            "import os, pymongo.uri_parser as p\nu = p.parse_uri(os.environ['CONFIG_MONGODB_URL'])\nprint(u['database'] == os.environ['CONFIG_MONGODB_DBNAME'], u['database'], u['nodelist'], u['username'], u['password'], sorted((k.lower(), v) for k, v in u['options'].items()))",
        );
        assert_eq!(
            told,
            format!(
                "True {name} [('127.0.0.1', 27999), ('127.0.0.1', 22)] apps {password} [('authsource', 'admin'), ('retrywrites', False)]"
            )
        );
    }
    for app in ["documents", "documents-too"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
    configure(world, "");
    world.node_script("rm /etc/cloudtool/services/mongodb.json");
}
