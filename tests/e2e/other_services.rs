//! The services that hold nothing of their own on the node, or nothing that lasts: memcached.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Test;
use crate::world::{App, World};

pub const TESTS: &[Test] = &[("each_app_has_a_memcached_of_its_own", each_app_has_a_memcached_of_its_own)];

/// Replaces the sections of services in the user's configuration.
fn configure(world: &World, section: &str) {
    let path = world.home.path().join("cloudtool.ini");
    fs::write(&path, section).expect("the configuration is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours alone");
}

fn each_app_has_a_memcached_of_its_own(world: &World) {
    let one = App::obeying("cached", "service.memcached =\n");
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
