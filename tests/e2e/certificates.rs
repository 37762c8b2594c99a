//! Certificates from a real ACME server (pebble, on the node) for an app, while its neighbour is under load.

use crate::Test;
use crate::http::get;
use crate::whole::{WholeApp, none_failed, nothing_left, remove};
use crate::world::{App, World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("an_app_gets_a_certificate_and_a_new_one_in_time", an_app_gets_a_certificate_and_a_new_one_in_time),
    ("an_app_brings_a_certificate_of_its_own", an_app_brings_a_certificate_of_its_own),
];

/// A certificate authority at https://127.0.0.1:14000/dir, whom the node believes to be that. `root.pem` is what visitors have to trust.
const PEBBLE: &str = r#"
apt-get install -y -q --no-install-recommends pebble >/dev/null
mkdir -p /root/pebble
cd /root/pebble
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
cp cert.pem /usr/local/share/ca-certificates/pebble.crt
update-ca-certificates >/dev/null 2>&1
cat >config.json <<'END'
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80, "tlsPort": 443,
            "certificate": "/root/pebble/cert.pem", "privateKey": "/root/pebble/key.pem"}}
END
systemd-run --quiet --collect --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 \
    /usr/bin/pebble -config /root/pebble/config.json
until curl -sSf https://127.0.0.1:15000/roots/0 >root.pem 2>/dev/null; do sleep 0.1; done
"#;

/// Says how the visitor spoke with the front.
const SCHEME: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [f\"{environ['wsgi.url_scheme']} to {environ['HTTP_HOST']}\".encode()]
";

const TRUSTED: &str = "--cacert /root/pebble/root.pem";

/// What a visitor gets by https, with the version of HTTP.
fn visit(world: &World, trust: &str, host: &str) -> String {
    let options = format!("--resolve {host}:443:127.0.0.1 -w ' %{{http_version}}'");
    world.node_script(&format!("curl -sS {trust} {options} https://{host}/ 2>&1 || true"))
}

/// What the timer does.
fn look_after(world: &World) {
    world.node_script("systemctl start cloudtool-certificates.service");
}

fn warnings(world: &World) -> String {
    String::from_utf8_lossy(&world.cloudtool(["query", "secure"]).stderr).into_owned()
}

fn an_app_gets_a_certificate_and_a_new_one_in_time(world: &World) {
    let neighbour = WholeApp::deployed(world, "plain", "");
    let load = neighbour.hammer(world);
    let ini = "runner = app.py\ntls = auto\nhsts = 2d\nacme_server = https://127.0.0.1:14000/dir\n";
    let app = App::new("secure", ini).file("app.py", SCHEME);
    world.ok(["update", app.path_str(), "--host", "secure.test", "--host", "shop.secure.test/a"]);
    look_after(world);
    // Nobody knows the names: the app is served as ever, by https with a certificate that nobody trusts, and it is said why.
    assert_eq!(get(&world.address, "secure.test", "/").body, "http to secure.test");
    assert_eq!(visit(world, "-k", "secure.test"), "https to secure.test 2");
    assert!(visit(world, "", "secure.test").contains("certificate"));
    let told = warnings(world);
    assert!(told.contains("secure.test has no certificate that browsers trust yet: the name is not known"), "{told}");
    // The names lead here, and the authority is down.
    world.node_script("echo 127.0.0.1 secure.test shop.secure.test >>/etc/hosts");
    look_after(world);
    let told = warnings(world);
    assert!(told.contains("tried again in an hour"), "{told}");
    world.node_script(PEBBLE);
    world.node_script("rm /var/lib/cloudtool/certificates/secure.json");
    look_after(world);
    assert_eq!(visit(world, TRUSTED, "secure.test"), "https to secure.test 2", "{}", warnings(world));
    assert!(visit(world, TRUSTED, "shop.secure.test").starts_with("<!doctype"), "it is the front's own page there");
    assert!(!warnings(world).contains("secure.test"), "{}", warnings(world));
    by_https_only(world);
    it_is_renewed_between_two_requests(world);
    // What the front loads when it starts is what it shows.
    world.node_script("haproxy -c -q -f /etc/cloudtool/front/haproxy.cfg; grep -qx /etc/cloudtool/tls/secure.pem /etc/cloudtool/tls/list");
    none_failed(load);
    nothing_left(world, "secure");
    remove(world, "secure");
    assert_eq!(world.node_script("cat /etc/cloudtool/tls/list"), "/etc/cloudtool/tls/_node.pem");
    assert!(visit(world, TRUSTED, "secure.test").contains("certificate"));
    world.node_script("systemctl stop pebble; sed -i /secure.test/d /etc/hosts");
    neighbour.remove(world);
}

fn by_https_only(world: &World) {
    let redirected = get(&world.address, "secure.test", "/a?b=c");
    assert_eq!((redirected.status, redirected.header("location")), (308, Some("https://secure.test/a?b=c")));
    let script =
        format!("curl -sS {TRUSTED} --resolve secure.test:443:127.0.0.1 -D- -o /dev/null https://secure.test/");
    assert!(world.node_script(&script).contains("strict-transport-security: max-age=172800"));
    let modes = world.node_script("stat -c %a%U /etc/cloudtool/tls /etc/cloudtool/tls/*.pem /var/lib/cloudtool/acme");
    assert_eq!(modes, "700root\n600root\n600root\n700root");
}

fn it_is_renewed_between_two_requests(world: &World) {
    let serial = "openssl s_client -connect 127.0.0.1:443 -servername secure.test </dev/null 2>/dev/null \
                  | openssl x509 -noout -serial";
    let first = world.node_script(serial);
    world.node_script(
        "rm -r /var/lib/cloudtool/acme/certs/secure
         sed -i 's/\"ends\": [0-9]*/\"ends\": 1/' /var/lib/cloudtool/certificates/secure.json",
    );
    let answers = world.node_script(&format!(
        "systemctl start --no-block cloudtool-certificates.service
         while [ $(systemctl show -P ActiveState cloudtool-certificates.service) = activating ]; do
             curl -sS {TRUSTED} --resolve secure.test:443:127.0.0.1 https://secure.test/ 2>&1
             echo
         done | sort -u"
    ));
    assert_eq!(answers, "https to secure.test");
    assert_ne!(world.node_script(serial), first);
}

/// A certificate for all hosts below brought.test, and its key.
fn made(world: &World) -> (String, String) {
    let made = world.node_script(
        "cd /root
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=brought \\
             -addext 'subjectAltName=DNS:*.brought.test' -keyout own.key -out own.pem 2>/dev/null
         cat own.pem own.key",
    );
    let (chain, key) = made.split_at(made.find("-----BEGIN PRIVATE KEY").expect("a key"));
    (chain.to_owned(), key.to_owned())
}

fn an_app_brings_a_certificate_of_its_own(world: &World) {
    let (chain, key) = made(world);
    let app = App::new("brought", "runner = app.py\ntls = site.pem\ntls_key = env:SITE_KEY\n").file("app.py", SCHEME);
    app.write("site.pem", chain.as_bytes());
    let update = |key: &str| {
        let mut command =
            world.command(["update", app.path_str(), "--host", "www.brought.test", "--host", "brought.test"]);
        command.env("SITE_KEY", key).output().expect("the binary starts")
    };
    assert_success(&update(&key));
    assert_eq!(visit(world, "--cacert /root/own.pem", "www.brought.test"), "https to www.brought.test 2");
    assert_eq!(get(&world.address, "www.brought.test", "/").status, 308);
    // The star stands for one label, and not for none.
    assert_eq!(get(&world.address, "brought.test", "/").body, "http to brought.test");
    assert!(
        both(&world.cloudtool(["query", "brought"]))
            .contains("brought.test has no certificate that browsers trust yet")
    );
    // A key of another: it is said, without a word of it, and nothing changes.
    let (_, other) = made(world);
    let told = both(&update(&other));
    assert!(told.contains("The key is not that of the certificate"), "{told}");
    world.node_script("cp /etc/cloudtool/tls/brought.pem /root/own.pem");
    assert_eq!(visit(world, "--cacert /root/own.pem", "www.brought.test"), "https to www.brought.test 2");
    for key in [key, other] {
        let line = key.lines().nth(1).expect("a line of the key").to_owned();
        assert!(!told.contains(&line));
        let places = world
            .node_script(&format!("grep -rlF '{line}' /etc/cloudtool /srv/cloudtool /var/log /var/lib/cloudtool || :"));
        assert!(["", "/etc/cloudtool/tls/brought.pem"].contains(&places.as_str()), "{places}");
    }
    nothing_left(world, "brought");
    remove(world, "brought");
}
