//! The service `redis`: two apps on one server, one in Python and one in PHP, and what is dumped and loaded of their keys.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use crate::Test;
use crate::service_scripts::Share;
use crate::world::{App, World};

pub const TESTS: &[Test] = &[("keys_are_kept_apart_dumped_and_loaded", keys_are_kept_apart_dumped_and_loaded)];

/// One key of every kind of value, one of them with an expiry, one longer than what is read at once.
const FILL: &str = r#"
import os, redis
r, p = redis.from_url(os.environ["REDIS_URL"]), os.environ["CONFIG_REDIS_PREFIX"]
r.set(p + "text", "größer"), r.set(p + "bytes", os.urandom(1_000_000)), r.set(p + "", "an empty name")
r.hset(p + "hash", mapping={"a": 1, "b": "2"}), r.rpush(p + "list", *range(1000)), r.sadd(p + "set", 1, 2, "x")
r.zadd(p + "sorted", {"low": -1.5, "high": float("inf")}), r.xadd(p + "stream", {"field": "value"}), r.pfadd(p + "log", 1, 2)
r.setex(p + "short-lived", 5000, "x"), r.setex(p + "gone", 1, "x")
r.mset({f"{p}n{i}": i for i in range(500)})
"#;
/// All of a share, in a text that is the same for the same content.
const CONTENT: &str = r#"
import hashlib, os, redis
r, p = redis.from_url(os.environ["REDIS_URL"]), "PREFIX"
names = ["", "text", "bytes", "short-lived", *(f"n{i}" for i in range(500))]
values = r.mget([p + n for n in names])
print(hashlib.sha256(repr(values).encode()).hexdigest(), values[1].decode(), r.hgetall(p + "hash"), r.lrange(p + "list", 0, -1), sorted(r.smembers(p + "set")))
print(r.zrange(p + "sorted", 0, -1, withscores=True), r.xrange(p + "stream"), r.pfcount(p + "log"))
print(4000 < r.ttl(p + "short-lived") <= 5000, r.ttl(p + "text"))
"#;

fn keys_are_kept_apart_dumped_and_loaded(world: &World) {
    let hoarder = App::obeying("hoarder", "service.redis =\n");
    world.ok(["update", hoarder.path_str(), "--host", "hoarder.test"]);
    let neighbour = App::obeying_php("hoarder-php", "service.redis =\n");
    world.ok(["update", neighbour.path_str(), "--host", "php.hoarder.test"]);
    world.inside("hoarder.test", FILL);
    the_neighbour_sees_nothing(world);
    an_update_disturbs_nobody(world, &hoarder);
    users_outlive_the_server(world);
    a_dump_is_loaded_whole_or_refused(world);
    a_backup_is_restored(world);
    world.ok(["remove", "hoarder", "-y", "--with-data"]);
    assert_eq!(as_administrator(world, "r('KEYS', '*')"), "[b'hoarder-php:mine']", "remove --with-data");
    assert_eq!(as_administrator(world, "any(b'ct-hoarder ' in l for l in r('ACL', 'LIST'))"), "False");
    world.ok(["remove", "hoarder-php", "-y", "--with-data"]);
    assert_eq!(as_administrator(world, "r('KEYS', '*')"), "[]");
}

/// What a Python expression says, in which `r` is the server's administrator.
fn as_administrator(world: &World, expression: &str) -> String {
    world.node_script(&format!(
        "cd /usr/local/lib/cloudtool/services/redis; PYTHONPATH=/usr/local/lib/cloudtool/common CLOUDTOOL_SERVICE_NODE_SECRETS=/var/lib/cloudtool/secrets/_node/redis \
         python3 -B - <<'PYTHON'\nimport share\nr = share.administrator()\nprint({expression})\nPYTHON"
    ))
}

fn the_neighbour_sees_nothing(world: &World) {
    let php = |command: &str| {
        let code = format!(
            "try {{ $r = new Redis(); $r->connect(getenv('CONFIG_REDIS_HOST'), (int) getenv('CONFIG_REDIS_PORT'));
             $r->auth([getenv('CONFIG_REDIS_USER'), getenv('CONFIG_REDIS_PASSWORD')]); $p = getenv('CONFIG_REDIS_PREFIX');
             $a = $r->rawCommand({command}); echo $r->getLastError() ?? json_encode($a); }}
             catch (RedisException $e) {{ echo $e->getMessage(); }}"
        );
        world.inside("php.hoarder.test", &code)
    };
    assert_eq!(php("'SET', $p . 'mine', 'x'"), "true");
    assert_eq!(php("'EVAL', 'return redis.call(\"get\", KEYS[1])', 1, $p . 'mine'"), "\"x\"");
    // What clients ask for by themselves.
    for command in ["'SELECT', '0'", "'CLIENT', 'SETNAME', 'x'", "'PING'", "'INFO'", "'COMMAND', 'COUNT'"] {
        let said = php(command);
        assert!(!said.starts_with("NOPERM"), "{command}: {said}");
    }
    // Keys, names of keys and messages of another app; the server itself; what all apps would share.
    for command in [
        "'GET', 'hoarder:text'",
        "'SET', 'hoarder:text', 'x'",
        "'GET', 'text'",
        "'COPY', $p . 'mine', 'hoarder:copy'",
        "'RENAME', $p . 'mine', 'hoarder:mine'",
        "'EVAL', 'return redis.call(\"get\", \"hoarder:text\")', '0'",
        "'KEYS', '*'",
        "'SCAN', '0'",
        "'RANDOMKEY'",
        "'DBSIZE'",
        "'SORT', $p . 'mine', 'BY', 'nosort', 'GET', 'hoarder:*'",
        "'CLIENT', 'LIST'",
        "'CLIENT', 'TRACKING', 'ON', 'BCAST'",
        "'PUBSUB', 'CHANNELS'",
        "'SUBSCRIBE', 'hoarder:x'",
        "'PSUBSCRIBE', '*'",
        "'PUBLISH', 'hoarder:x', 'x'",
        "'MONITOR'",
        "'FLUSHALL'",
        "'CONFIG', 'GET', '*'",
        "'ACL', 'LIST'",
        "'ACL', 'SETUSER', 'x'",
        "'FUNCTION', 'LIST'",
        "'SCRIPT', 'FLUSH'",
        "'SLOWLOG', 'GET'",
        "'SYNC'",
        "'MIGRATE', '127.0.0.1', '1', 'hoarder:text', '0', '10'",
        "'SHUTDOWN'",
        "'SELECT', '1'",
    ] {
        let said = php(command);
        let refused = ["NOPERM", "DB index is out of range", "can't access at least one of the keys"];
        assert!(refused.iter().any(|words| said.contains(words)), "{command}: {said}");
    }
    let password = world.inside("hoarder.test", "import os; print(os.environ['CONFIG_REDIS_PASSWORD'])");
    for login in [
        "getenv('CONFIG_REDIS_PASSWORD')",
        "['hoarder', 'x']",
        "['default', '']",
        "['ct-hoarder', getenv('CONFIG_REDIS_PASSWORD')]",
    ] {
        let code = format!(
            "$r = new Redis(); $r->connect('127.0.0.1'); try {{ $r->auth({login}); echo 'let in'; }} catch (RedisException $e) {{ echo $e->getMessage(); }}"
        );
        let said = world.inside("php.hoarder.test", &code);
        assert!(said.starts_with("WRONGPASS") || said.starts_with("ERR AUTH"), "{login}: {said}");
    }
    let stranger = "$r = new Redis(); $r->connect('127.0.0.1'); try { echo $r->get('hoarder:text'); } catch (RedisException $e) { echo $e->getMessage(); }";
    assert!(world.inside("php.hoarder.test", stranger).contains("NOAUTH"));
    let files = world.node_script(
        "cat /etc/redis/cloudtool.conf /var/lib/redis/cloudtool.acl; ss -Hltn 'sport = 6379' | awk '{print $4}'",
    );
    assert!(!files.contains(&password) && files.ends_with("\n127.0.0.1:6379"), "{files}");
}

/// Another update, also one that changes the service's settings, neither restarts the server nor ends a connection.
fn an_update_disturbs_nobody(world: &World, app: &App) {
    let look = "systemctl show -p ExecMainStartTimestampMonotonic --value redis-server; stat -c '%i %y' /var/lib/redis/cloudtool.acl";
    let before = world.node_script(look);
    // A connection as the app's user that is held open over it.
    let holding = "cd /usr/local/lib/cloudtool/services/redis; PYTHONPATH=/usr/local/lib/cloudtool/common CLOUDTOOL_APP=hoarder CLOUDTOOL_SHARE=hoarder \
         CLOUDTOOL_SERVICE_PASSWORD=/var/lib/cloudtool/secrets/hoarder/redis/password python3 -B -c 'import share, sys; \
         c = share.Share().connect(); print(c(\"CLIENT\", \"ID\"), flush=True); sys.stdin.read(); print(c(\"CLIENT\", \"ID\"))'";
    let mut held = world.ssh();
    let mut held = held.arg(holding).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
    let mut first = [0; 1];
    held.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it is connected");
    let settings = world.home.path().join("cloudtool.ini");
    let configuration = fs::read_to_string(&settings).expect("the configuration");
    fs::write(&settings, format!("{configuration}[service:redis]\nmemory = 77M\neviction = volatile-lru\n"))
        .expect("written");
    app.write("more.txt", b"another release\n");
    world.ok(["update", app.path_str()]);
    fs::write(&settings, format!("{configuration}[service:redis]\nmemory = lots\n")).expect("written");
    let said = world.fails(1, ["update", app.path_str(), "--force"]);
    assert!(said.contains("memory = lots in [service:redis] is neither"), "{said}");
    fs::write(&settings, format!("{configuration}[service:redis]\nmemory = 25%\n")).expect("written");
    world.ok(["update", app.path_str(), "--force"]);
    fs::write(&settings, configuration).expect("written");
    assert_eq!(world.node_script(look), before, "no restart, no new list of users");
    assert_eq!(as_administrator(world, "r('CONFIG', 'GET', 'maxmemory-policy')[1]"), "b'volatile-lru'");
    drop(held.stdin.take());
    let rest = held.wait_with_output().expect("ssh ends");
    let said = format!("{}{}", first[0] as char, String::from_utf8_lossy(&rest.stdout));
    let ids: Vec<&str> = said.lines().collect();
    assert!(rest.status.success() && ids.len() == 2 && ids[0] == ids[1], "{said}");
}

fn users_outlive_the_server(world: &World) {
    let tell = "import os, redis; print(redis.from_url(os.environ['REDIS_URL']).get('hoarder:text').decode())";
    world.node_script("systemctl restart redis-server");
    assert_eq!(world.inside("hoarder.test", tell), "größer");
}

fn a_dump_is_loaded_whole_or_refused(world: &World) {
    let first = Share { world, service: "redis", app: "hoarder", share: "hoarder" };
    let second = Share { share: "hoarder.2", ..first };
    let other = Share { app: "hoarder-php", share: "hoarder-php.2", ..first };
    let content = |prefix: &str| world.inside("hoarder.test", &CONTENT.replace("PREFIX", prefix));
    let counted = json!({"keys": 509});
    let (dump, facts) = first.dump();
    assert_eq!((&facts["counts"], &first.count()), (&counted, &facts), "keys that stay");
    assert!(facts["version"].as_str().is_some_and(|version| version.starts_with("Redis ")), "{facts}");
    second.ok("load", &dump);
    assert_eq!(content("hoarder.2:"), content("hoarder:"));
    assert_eq!(second.count()["counts"], counted);
    other.ok("load", &dump);
    assert_eq!(other.count()["counts"], counted, "in another app's share");
    other.ok("drop", b"");
    assert_eq!(other.count()["counts"]["keys"], 0);

    let foreign = "this is not a dump of the service redis";
    for (what, bad, reason) in [
        ("nothing", Vec::new(), foreign),
        ("another file", b"PGDMP".repeat(1000), foreign),
        ("without its last byte", dump[..dump.len() - 1].to_vec(), "truncated"),
        ("without its end", dump[..dump.len() - 20].to_vec(), "truncated"),
        ("half of it", dump[..dump.len() / 2].to_vec(), "truncated"),
        ("more than it", [&dump[..], b"x"].concat(), "damaged"),
        ("a flipped bit", flipped(&dump), "does not take a value"),
    ] {
        let said = second.fails("load", &bad);
        assert!(said.contains(reason), "{what}: {said}");
    }
    second.ok("drop", b"");
    second.ok("drop", b"");
    assert_eq!(second.count()["counts"]["keys"], 0);
    assert_eq!(first.count()["counts"], counted, "the share in use is left alone");
}

/// The whole way: what was written after the backup is gone, and the app works below another prefix.
fn a_backup_is_restored(world: &World) {
    let place = world.home.path().join("backups");
    let place = place.to_str().expect("UTF-8");
    let tell = "import os, redis\nr, p = redis.from_url(os.environ['REDIS_URL']), os.environ['CONFIG_REDIS_PREFIX']\nprint(p, r.get(p + 'text').decode())";
    world.ok(["backup", "hoarder", place]);
    world.inside(
        "hoarder.test",
        "import os, redis; redis.from_url(os.environ['REDIS_URL']).set('hoarder:text', 'too late')",
    );
    assert_eq!(world.inside("hoarder.test", tell), "hoarder: too late");
    world.ok(["restore", &format!("{place}/hoarder"), "hoarder", "-y"]);
    assert_eq!(world.inside("hoarder.test", tell), "hoarder.2: größer");
    assert_eq!(as_administrator(world, "r('KEYS', 'hoarder:*')"), "[]");
}

/// With a bit turned over in the middle, which is inside of the one long value.
fn flipped(dump: &[u8]) -> Vec<u8> {
    let mut bad = dump.to_vec();
    bad[dump.len() / 2] ^= 1;
    bad
}
