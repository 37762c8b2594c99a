//! Every folder of `examples/` is deployed as it is and looked at. `notes-couchdb` is in couchdb.rs.

use std::process::Command;

use crate::Test;
use crate::http::{Answer, get, multipart, request};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("static_site_serves_its_pages", static_site_serves_its_pages),
    ("hello_wsgi_tells_its_release", hello_wsgi_tells_its_release),
    ("guestbook_keeps_entries_on_the_map", guestbook_keeps_entries_on_the_map),
    ("guestbook_looks_right_in_a_browser", guestbook_looks_right_in_a_browser),
    ("php_gallery_keeps_pictures", php_gallery_keeps_pictures),
    ("django_polls_counts_votes", django_polls_counts_votes),
];

/// A red dot, as PNG.
const PICTURE: &[u8] = include_bytes!("dot.png");

fn static_site_serves_its_pages(world: &World) {
    let site = App::example("static-site");
    world.ok(["update", site.path_str()]);
    let look = |path: &str| get(&world.address, "lighthouse.localhost", path);
    let page = look("/");
    assert!(page.status == 200 && page.body.contains("One light"), "{page:?}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(look("/css/style.css").header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(look("/icon.svg").header("content-type"), Some("image/svg+xml; charset=utf-8"));
    assert!(look("/keepers/").body.contains("Those who kept it burning"));
    assert_eq!(look("/keepers").header("location"), Some("http://lighthouse.localhost/keepers/"));
    for path in ["/app.ini", "/README.md", "/nothing", "/css/"] {
        assert_eq!(look(path).status, 404, "{path}");
    }
    world.ok(["remove", "static-site", "-y"]);
}

fn hello_wsgi_tells_its_release(world: &World) {
    let app = App::example("hello-wsgi");
    world.ok(["update", app.path_str()]);
    let page = get(&world.address, "hello.localhost", "/").body;
    assert!(page.contains("<b>v1</b> of <b>hello-wsgi</b>") && page.contains("Hello from your own server"), "{page}");
    assert!(page.contains("<li>CLOUDTOOL_SECRET_FILE</li>"), "{page}");
    assert_eq!(get(&world.address, "hello.localhost", "/style.css").status, 200);
    world.ok(["remove", "hello-wsgi", "-y"]);
}

fn sign(world: &World, name: &str, lat: &str, lon: &str, picture: Option<&[u8]>) -> Answer {
    let fields = [("name", name), ("message", "Greetings & <b>tags</b>"), ("lat", lat), ("lon", lon)];
    let (headers, body) = multipart(&fields, picture.map(|content| ("picture", "dot.png", content)));
    request(&world.address, "POST", "guestbook.localhost", "/", &headers, &body)
}

fn guestbook_keeps_entries_on_the_map(world: &World) {
    let app = App::example("guestbook");
    world.ok(["update", app.path_str()]);
    let look = |path: &str| get(&world.address, "guestbook.localhost", path);
    let version = look("/health");
    assert!(
        version.status == 200 && version.body.starts_with("3."),
        "PostGIS_Version() as the app's role: {version:?}"
    );
    let signed = sign(world, "Ada Lovelace", "51.5", "-0.1", Some(PICTURE));
    assert_eq!(signed.status, 303, "{}", signed.body);
    assert_eq!(signed.header("location").map(|to| to.starts_with("/?lat=51.5&lon=-0.1#entry-")), Some(true));
    let page = look("/").body;
    assert!(page.contains("Ada Lovelace") && page.contains("Greetings &amp; &lt;b&gt;tags&lt;/b&gt;"), "{page}");
    let picture =
        page.split("<img src=\"/pictures/").nth(1).and_then(|rest| rest.split('"').next()).expect("a picture");
    let picture = look(&format!("/pictures/{picture}"));
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert_eq!(picture.body, String::from_utf8_lossy(PICTURE));
    // The nearest first, whoever signed last: PostGIS measures on the globe, across the date line too.
    let order = |page: &str| -> Vec<String> {
        page.split("<p class=\"by\"><b>").skip(1).filter_map(|rest| rest.split('<').next()).map(str::to_owned).collect()
    };
    let near = order(&look("/?lat=64&lon=-22").body);
    assert_eq!(near[..3], ["Reykjavík", "Ada Lovelace", "Greenwich"], "{near:?}");
    assert_eq!(sign(world, "Suva", "-18.1", "178.4", None).status, 303);
    assert_eq!(order(&look("/?lat=-14&lon=-172").body)[0], "Suva");
    assert_eq!(sign(world, "Nobody", "91", "0", None).status, 422);
    assert_eq!(sign(world, "Liar", "1", "1", Some(b"<?php no picture")).status, 422);
    // Migrations have run once, and data outlive the release.
    let app = app.file("more.txt", "another release\n");
    let output = world.cloudtool(["update", app.path_str(), "-v"]);
    assert!(output.status.success() && !both(&output).contains("migrating:"), "{}", both(&output));
    assert!(look("/").body.contains("Ada Lovelace"));
}

fn guestbook_looks_right_in_a_browser(world: &World) {
    let app = App::example("guestbook");
    world.ok(["update", app.path_str()]);
    assert_eq!(sign(world, "A browser", "10", "20", Some(PICTURE)).status, 303);
    let picture = World::local_dir().with_file_name("guestbook.png");
    // As a person on this machine does it: by the local forward, with a name below .localhost.
    let address = format!("http://guestbook.localhost:{}/?lat=10&lon=20", world.forwarded_port);
    let mut browser = Command::new(chromium());
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,1120"]);
    browser.args(["--enable-logging=stderr", "--virtual-time-budget=5000"]);
    browser.arg(format!("--user-data-dir={}", world.home.path().join("chromium").display()));
    browser.arg(format!("--screenshot={}", picture.display())).arg(&address);
    let output = browser.output().expect("chromium starts");
    let said = both(&output);
    assert!(output.status.success(), "{said}");
    // Scripts that fail, files that are missing and what the Content-Security-Policy refuses are told on the console.
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let png = std::fs::read(&picture).expect("the screenshot");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    // A page without its map, style or entries packs to a fraction of this.
    assert!(png.len() > 60_000, "{} bytes, see {}", png.len(), picture.display());
    println!("the screenshot is {}", picture.display());
    world.ok(["remove", "guestbook", "-y", "--with-data"]);
}

/// The browser; installed when it is missing.
fn chromium() -> &'static str {
    let found = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| starts(name));
    found().unwrap_or_else(|| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args([
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
        ]);
        let output = apt.output().expect("apt-get starts");
        found().unwrap_or_else(|| panic!("there is no chromium, and it cannot be installed: {}", both(&output)))
    })
}

fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn php_gallery_keeps_pictures(world: &World) {
    let app = App::example("php-gallery");
    world.ok(["update", app.path_str()]);
    let look = |path: &str| get(&world.address, "gallery.localhost", path);
    let upload = |title: &str, content: &[u8]| {
        let (headers, body) = multipart(&[("title", title)], Some(("picture", "x.png", content)));
        request(&world.address, "POST", "gallery.localhost", "/", &headers, &body)
    };
    assert!(look("/").body.contains("The walls are bare"));
    assert_eq!(upload("A <dot>", PICTURE).status, 303);
    let page = look("/").body;
    assert!(page.contains("A &lt;dot&gt;") && page.contains("up to 64MB"), "{page}");
    let small = page.split("<img src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a picture");
    let small = look(small);
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(look("/pictures/1").status, 200);
    assert_eq!(look("/pictures/2").status, 404);
    // A picture with 20 MB behind it: more than PHP's own limit of 2 MB.
    let large = [PICTURE, &vec![0; 20 << 20]].concat();
    assert_eq!(upload("Large", &large).status, 303);
    assert_eq!(upload("Too large", &vec![0; 65 << 20]).status, 413);
    assert_eq!(upload("No picture", b"<?php echo 1;").status, 422);
    assert!(look("/health").body.starts_with("2 pictures"));
    for hidden in ["/app.ini", "/src/store.php", "/bin/migrate.php", "/migrations/001_pictures.sql"] {
        assert_eq!(look(hidden).status, 404, "{hidden}");
    }
    world.ok(["remove", "php-gallery", "-y", "--with-data"]);
}

fn django_polls_counts_votes(world: &World) {
    let app = App::example("django-polls");
    world.ok(["update", app.path_str()]);
    let look = |path: &str| get(&world.address, "polls.localhost", path);
    let page = look("/");
    assert!(page.status == 200 && page.body.contains("Where shall the new bench stand?"), "{page:?}");
    let style =
        page.body.split("href=\"/static/").nth(1).and_then(|rest| rest.split('"').next()).expect("a style sheet");
    assert_eq!(look(&format!("/static/{style}")).status, 200, "collected, and served from CONFIG_WRITABLE_ROOT");
    let question = page
        .body
        .split("question\" href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|path| look(path).body.contains("Apple trees"));
    let question = question.expect("the question about the square").to_owned();
    let form = look(&question);
    let cookie =
        form.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a CSRF cookie").to_owned();
    let value_of = |name: &str, body: &str| {
        let rest = body.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("the field");
        rest.split('"').next().expect("its value").to_owned()
    };
    let vote = format!(
        "csrfmiddlewaretoken={}&choice={}",
        value_of("csrfmiddlewaretoken", &form.body),
        value_of("choice", &form.body)
    );
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nCookie: {cookie}\r\n");
    let path = format!("{question}vote/");
    let voted = request(&world.address, "POST", "polls.localhost", &path, &headers, vote.as_bytes());
    assert_eq!(voted.status, 302, "{}", voted.body);
    assert!(look(&format!("{question}results/")).body.contains("100 %, 1 vote<"));
    assert_eq!(request(&world.address, "POST", "polls.localhost", &path, "", b"").status, 403, "without a token");

    let admin = look("/admin/login/");
    assert!(admin.status == 200 && admin.body.contains("Django administration"));
    let cookie = admin.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let password = world.node_script("cat /srv/cloudtool/apps/django-polls/data/files/admin-password");
    let login = format!(
        "csrfmiddlewaretoken={}&username=admin&password={password}",
        value_of("csrfmiddlewaretoken", &admin.body)
    );
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nCookie: {cookie}\r\n");
    let answer =
        request(&world.address, "POST", "polls.localhost", "/admin/login/?next=/admin/", &headers, login.as_bytes());
    assert_eq!((answer.status, answer.header("location")), (302, Some("/admin/")), "the first administrator logs in");
    let cookies = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let session = cookies.map(|(_, value)| value).find(|value| value.starts_with("sessionid")).expect("a session");
    let session = format!("Cookie: {}\r\n", session.split(';').next().expect("its value"));
    let desk = || request(&world.address, "GET", "polls.localhost", "/admin/", &session, b"");
    assert_eq!(desk().status, 200);

    // The second update: the environment is there, the data and the session too.
    let built = "cd /srv/cloudtool/apps/django-polls/venvs; stat -c '%n %i %Z' *";
    let before = world.node_script(built);
    let app = app.file("polls/static/polls/more.css", "b { color: red }\n");
    world.ok(["update", app.path_str()]);
    assert_eq!(world.node_script(built), before, "no environment was built");
    assert!(look(&format!("{question}results/")).body.contains("100 %, 1 vote<"));
    assert_eq!(desk().status, 200, "the secret has stayed the same, so has the session");
    world.ok(["remove", "django-polls", "-y", "--with-data"]);
}
