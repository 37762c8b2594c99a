use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::Runner;

const SERVICES: [&str; 4] = ["couchdb", "files", "postgis", "postgresql"];

/// An app's directory with these files, empty.
fn app(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    dir
}

fn parse_in(dir: &Path, text: &str) -> Result<AppConfig, String> {
    parse(Path::new("app.ini"), dir, text, &SERVICES).map_err(|error| error.to_string())
}

/// Everything that is wrong with an app.ini that has a name and a runner already.
fn problems(more: &str) -> String {
    let dir = app(&["app.py", "site/index.php", "requirements.txt", "bin/manage.py"]);
    match parse_in(dir.path(), &format!("[production]\napp_name = a\nrunner = app.py\n{more}")) {
        Ok(config) => config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(message) => message,
    }
}

#[test]
fn everything_at_once() {
    let dir = app(&["src/app.py", "requirements.txt", "bin/manage.py"]);
    let text = "\u{feff}[production]\r\n\
        app_name = guestbook\r\n\
        version = 1\r\n\
        runner = src/app.py#app\r\n\
        default_location =\r\n  guestbook.localhost\r\n  www.example.com/Book/\r\n  *.example.com\r\n\
        service.postgis =\r\n\
        service.files = public\r\n\
        packages = python3-lxml g++\r\n  # more\r\n  gdal-bin\r\n\
        requirements = ./requirements.txt\r\n\
        update_fetch =\r\n  /sync?all=1\r\n  script: bin/manage.py migrate --name 'a b'\r\n  script:./bin/manage.py check\r\n\
        snapshot = Always\r\n\
        health_check = /health\r\n\
        health_timeout = 2m\r\n\
        processes = 4\r\n\
        threads = 1\r\n\
        memory = 256M\r\n\
        request_timeout = 90\r\n\
        drain_timeout: 10s\r\n\
        [env]\r\n\
        LANG = C.UTF-8\r\n\
        Odd = \"quo'ted\" $HOME ; `id`\\\r\n  %(x)s\r\n";
    let config = parse_in(dir.path(), text).unwrap();
    assert_eq!(config.name.as_str(), "guestbook");
    assert_eq!(config.warnings, []);
    let locations: Vec<_> = config.locations.iter().map(Location::to_string).collect();
    assert_eq!(locations, ["guestbook.localhost", "www.example.com/Book", "*.example.com"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&config.settings).unwrap(), @r#"
    {
      "platform": "python",
      "runner": {
        "kind": "wsgi",
        "file": "src/app.py",
        "object": "app"
      },
      "php_root": null,
      "packages": [
        "python3-lxml",
        "g++",
        "gdal-bin"
      ],
      "requirements": "requirements.txt",
      "services": [
        {
          "name": "postgis",
          "value": ""
        },
        {
          "name": "files",
          "value": "public"
        }
      ],
      "update_fetch": [
        {
          "fetch": "/sync?all=1"
        },
        {
          "script": [
            "bin/manage.py",
            "migrate",
            "--name",
            "a b"
          ]
        },
        {
          "script": [
            "bin/manage.py",
            "check"
          ]
        }
      ],
      "snapshot": "always",
      "health_check": "/health",
      "health_timeout": 120,
      "processes": 4,
      "threads": 1,
      "memory": 268435456,
      "request_timeout": 90,
      "drain_timeout": 10,
      "env": {
        "LANG": "C.UTF-8",
        "Odd": "\"quo'ted\" $HOME ; `id`\\\n%(x)s"
      }
    }
    "#);
    config.check_travels(|_| true).unwrap();
    insta::assert_snapshot!(config.check_travels(|path| path != "requirements.txt").unwrap_err(), @r#"app.ini:14: production.requirements: "requirements.txt" is left out by an ignore file: re-include it with !/requirements.txt in .cloudtoolignore"#);
}

#[test]
fn defaults() {
    let dir = app(&["app.py"]);
    let config = parse_in(dir.path(), "[production]\napp_name=a\nrunner=app.py").unwrap();
    insta::assert_snapshot!(serde_json::to_string(&config.settings).unwrap(), @r#"{"platform":"python","runner":{"kind":"wsgi","file":"app.py","object":"application"},"php_root":null,"packages":[],"requirements":null,"services":[],"update_fetch":[],"snapshot":"auto","health_check":"/","health_timeout":30,"processes":2,"threads":8,"memory":null,"request_timeout":60,"drain_timeout":30,"env":{}}"#);
}

#[test]
fn all_problems_in_one_run() {
    insta::assert_snapshot!(problems("plattform = python\nservice.postgres =\nservice.nosuch\nprocesses = 0\nmemory = 1\nhealth_check = health\nhealth_timeout = 1\n  2\npackages = -y a;b\ndefault_host = a b:80\nrequirements = nope.txt\nupdate_fetch = sync\n  script:\n  script: bin/nope.py\n  script: 'x\n  script: echo hello\nconfig.requird = 1\nplatform =\n[envv]\n[env]\nCONFIG_X = 1\nA-B = 2\nPATH = x\nBELL = a\u{7}b\n"), @r#"
    app.ini:4: production.plattform: unknown key, did you mean "platform"?
    app.ini:5: production.service.postgres: there is no service "postgres"; there are: couchdb, files, postgis, postgresql, did you mean "postgis"?
    app.ini:6: production.service.nosuch: there is no service "nosuch"; there are: couchdb, files, postgis, postgresql
    app.ini:7: production.processes: "0" is not a number from 1 to 64
    app.ini:8: production.memory: "1" is not an amount of memory from 16M to 1024G: write 256M or 1G
    app.ini:9: production.health_check: "health" is not a URL path: it starts with one '/', without scheme and host
    app.ini:11: production.health_timeout: the key takes one value, and this is a second one
    app.ini:12: production.packages: "-y" is not the name of a package: names have lower-case letters, digits, '+', '-' and '.', separated by blanks or lines
    app.ini:12: production.packages: "a;b" is not the name of a package: names have lower-case letters, digits, '+', '-' and '.', separated by blanks or lines
    app.ini:13: production.default_host: "b:80" is not a location: write HOST, HOST/PATH or *.DOMAIN, without port, query and blanks
    app.ini:14: production.requirements: there is no file "nope.txt" in the app
    app.ini:15: production.update_fetch: "sync" is not a URL path: it starts with one '/', without scheme and host; a program is written as script:PROGRAM ARGUMENTS
    app.ini:16: production.update_fetch: after script: stands a program of the app, with its arguments
    app.ini:17: production.update_fetch: there is no file "bin/nope.py" in the app
    app.ini:18: production.update_fetch: a quote or a backslash at the end is not closed
    app.ini:19: production.update_fetch: there is no file "echo" in the app
    app.ini:20: production.config.requird: unknown key, did you mean "config.required"?
    app.ini:21: production.platform: the value is missing
    app.ini:22: [envv]: unknown section, did you mean "env"?
    app.ini:24: env.CONFIG_X: names that start with CLOUDTOOL_ or CONFIG_ are given by the node
    app.ini:25: env.A-B: a variable's name has letters, digits and '_', and does not start with a digit
    app.ini:26: env.PATH: this variable is set by the node
    app.ini:27: env.BELL: the value has the control character U+0007, which systemd would drop
    "#);
}

#[test]
fn backups_by_themselves() {
    let dir = app(&["app.py", "check.py"]);
    let with =
        |section: &str| parse_in(dir.path(), &format!("[production]\napp_name=a\nrunner=app.py\n[backup]\n{section}"));
    let plan = |section: &str| serde_json::to_string(&with(section).unwrap().settings.backup).unwrap();
    insta::assert_snapshot!(plan("every = 6h\nto = far\nkeep = 7  daily\ncheck = script:check.py 'a b'\n"), @r#"{"every":360,"to":"far","keep":"7 daily","check":["check.py","a b"]}"#);
    insta::assert_snapshot!(plan("at = 03:15\n"), @r#"{"at":"03:15","to":null,"keep":null,"check":null}"#);
    let only_checked = with("check = script:check.py\n").unwrap();
    assert!(only_checked.settings.backup.as_ref().unwrap().when.is_none() && only_checked.warnings.is_empty());
    assert!(only_checked.check_travels(|path| path != "check.py").unwrap_err().to_string().contains("backup.check"));
    assert_eq!(with("to = far\n").unwrap().warnings.len(), 1);
    for fits in ["5m", "30m", "1h", "60m", "12h", "24h"] {
        assert!(with(&format!("every = {fits}\n")).is_ok(), "{fits}");
    }
    insta::assert_snapshot!(with("every = 5h\nat = 3:15\nkeep = all\ncheck = check.py\nevry = 1h\n").unwrap_err(), @r#"
    app.ini:5: backup.every: "5h" does not go into an hour or a day: 5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h and 24h do
    app.ini:6: backup.at: "3:15" is not a time of the day like 03:15
    app.ini:7: backup.keep: "all" does not say what to keep: it is like '7 daily, 4 weekly' (last, hourly, daily, weekly, monthly, yearly)
    app.ini:8: backup.check: a program of the app is written as script:PROGRAM ARGUMENTS
    app.ini:9: backup.evry: unknown key, did you mean "every"?
    "#);
    insta::assert_snapshot!(with("every = 6h\nat = 03:15\n").unwrap_err(), @"app.ini:6: backup.at: this was said already: there is one `every` or `at`, and one of the others");
    for wrong in
        ["every = 1m", "every = 7m", "every = 600s", "every = 48h", "at = 24:00", "at = 03:60", "check = script:nope"]
    {
        assert!(with(&format!("{wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_missing() {
    let dir = app(&[]);
    insta::assert_snapshot!(parse_in(dir.path(), "").unwrap_err(), @r"
    app.ini:1: [production]: the section is missing
    app.ini:1: production.app_name: the key is missing: every app has a name
    app.ini:1: production.runner: the key is missing: a Python app names the file that has `application`, e.g. runner = app.py
    ");
    let error = load(dir.path(), &SERVICES).unwrap_err();
    assert!(matches!(error, Error::NoAppIni(_)));
    assert!(crate::error::Explain::hint(&error).unwrap().starts_with("`cloudtool init /"));
}

#[test]
fn config_keys() {
    let dir = app(&["app.py", "conf/template.ini", "conf/defaults", "wrong"]);
    let write = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
    write("conf/template.ini", "[variables]\nAPI_KEY = From the shop's page\nLANGUAGE = Of mails\n");
    write("conf/defaults", "# of mails\nLANGUAGE=en\nGREETING=\"two\\nlines\"\n");
    write("wrong", "A=1\nCONFIG_X=2\n");
    let wish = |ini: &str| {
        let text = format!("[production]\napp_name = a\nrunner = app.py\n{ini}");
        parse_in(dir.path(), &text).map(|config| config.settings.config)
    };
    let all = "config.required = yes\nconfig.template = conf\nconfig.default = conf/defaults\nconfig.checker = my.conf:check\n";
    insta::assert_snapshot!(serde_json::to_string(&wish(all).unwrap()).unwrap(), @r#"{"required":["API_KEY","LANGUAGE"],"default":{"GREETING":"two\nlines","LANGUAGE":"en"},"checker":"my.conf:check"}"#);
    let named = wish("config.required = A B\n  A\n").unwrap().unwrap();
    assert_eq!(named.required, ["A", "B"]);
    assert_eq!(wish("config.required = no\nconfig.template = conf/template.ini\n").unwrap(), None);
    let wrong =
        "config.required = A-B PATH\nconfig.template = nowhere\nconfig.default = wrong\nconfig.checker = check\n";
    let said = wish(wrong).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(said, @r#"
    wrong:2: production.config.default: "CONFIG_X": names that start with CLOUDTOOL_ or CONFIG_ are given by the node
    app.ini:4: production.config.required: "A-B": a variable's name has letters, digits and '_', and does not start with a digit
    app.ini:4: production.config.required: "PATH": this variable is set by the node
    app.ini:5: production.config.template: there is no file "nowhere" in the app
    app.ini:7: production.config.checker: "check" is not written as module:function
    "#);
}

#[test]
fn old_keys_are_warnings() {
    insta::assert_snapshot!(problems("app_name_ = x\n").as_str(), @r#"app.ini:4: production.app_name_: unknown key, did you mean "app_name"?"#);
    insta::assert_snapshot!(problems("after_install_script = x\nconfig.required = true\npackages = python-simplejson\n"), @r"
    warning: app.ini:4: production.after_install_script: has no effect: list packages in `packages`, run the app's own steps with `update_fetch = script:...`
    warning: app.ini:5: production.config.required: does not say what is required: name the variables, or describe them in a file of config.template
    warning: app.ini:6: production.packages: python-simplejson was for Python 2 and may be gone: python3-simplejson is today's name
    ");
    let dir = app(&["app.py"]);
    let config = parse_in(dir.path(), "[production]\napp_name = Kai\nrunner = app.py\n").unwrap();
    assert_eq!(config.name.as_str(), "kai");
    insta::assert_snapshot!(config.warnings[0], @r#"app.ini:2: production.app_name: "Kai" has upper-case letters, the app is called "kai""#);
}

#[test]
fn platforms() {
    let dir = app(&["app.py", "p.ini", "site/index.php", "web/x.php", "static/index.html"]);
    let what_runs = |text: &str| {
        parse_in(dir.path(), &format!("[production]\napp_name = a\n{text}")).map(|config| {
            let settings = config.settings;
            (settings.platform, settings.runner, settings.php_root)
        })
    };
    let root = |path: &str| Some(path.to_owned());
    let paste = Runner::Paste { file: "p.ini".into(), object: "main".into() };
    assert_eq!(what_runs("runner = p.ini"), Ok((Platform::Python, Some(paste), None)));
    assert_eq!(what_runs("runner = static"), Ok((Platform::Static, None, None)));
    assert_eq!(what_runs("platform = static"), Ok((Platform::Static, None, None)));
    assert_eq!(what_runs("platform = php"), Ok((Platform::Php, None, root("site"))));
    assert_eq!(what_runs("service.php"), Ok((Platform::Php, None, root("site"))));
    assert_eq!(what_runs("service.php =\nphp_root = web/"), Ok((Platform::Php, None, root("web"))));
    assert_eq!(
        what_runs("runner = site/index.php"),
        Ok((Platform::Php, Some(Runner::Php { file: "site/index.php".into() }), root("site")))
    );
    let node = || Some(Runner::Command { words: vec!["node".into(), "s.js".into()] });
    assert_eq!(what_runs("runner = command:node s.js"), Ok((Platform::Command, node(), None)));
    assert_eq!(what_runs("runner = command:node s.js\nplatform = php"), Ok((Platform::Php, node(), None)));
    assert_eq!(what_runs("runner = command:node s.js\nrequirements = app.py"), Ok((Platform::Python, node(), None)));
    insta::assert_snapshot!(what_runs("platform = command\n").unwrap_err(), @"app.ini:1: production.runner: the key is missing: the platform command runs one, e.g. runner = command:node server.js");
    insta::assert_snapshot!(what_runs("runner = command:node\nphp_root = site\n[env]\nPORT = 1\n").unwrap_err(), @r#"
    app.ini:3: production.runner: a command answers all that is not in static/: it has neither the platform static nor a php_root
    app.ini:6: env.PORT: this variable is set by the node for a command
    "#);
    insta::assert_snapshot!(what_runs("platform = static\nrunner = app.py\nphp_root = site\n").unwrap_err(), @r"
    app.ini:4: production.runner: this is for the platform python, and platform in line 3 says static
    app.ini:5: production.php_root: this is for the platform php, and platform in line 3 says static
    ");
    insta::assert_snapshot!(what_runs("platform = phyton\nrunner = app.py\n").unwrap_err(), @r#"app.ini:3: production.platform: "phyton" is not a platform: write python, php, static or command, did you mean "python"?"#);
    insta::assert_snapshot!(what_runs("platform = php\nphp_root = .\n").unwrap_err(), @"app.ini:4: production.php_root: the app's directory itself is not allowed here: name something in it");
    insta::assert_snapshot!(problems("platform = php\n"), @"app.ini:3: production.runner: this is for the platform python, and platform in line 4 says php");
}

#[test]
fn processes() {
    let dir = app(&["app.py"]);
    let text = "[production]\napp_name = a\nrunner = app.py\n[process:mail-2]\ncommand = python3 -m mail 'a b'\ncount = 0\nmemory = 64M\nstop_timeout = 5m\n[process:x]\ncommand = y\n";
    let settings = parse_in(dir.path(), text).unwrap().settings;
    insta::assert_snapshot!(serde_json::to_string(&settings.workers).unwrap(), @r#"{"mail-2":{"words":["python3","-m","mail","a b"],"count":0,"memory":67108864,"stop_timeout":300},"x":{"words":["y"],"count":1,"memory":null,"stop_timeout":30}}"#);
    insta::assert_snapshot!(problems("[process:web]\n[process:A]\n[process:]\n[proces:x]\n[process:w]\ncomand = x\ncount = -1\nmemory = 1\nstop_timeout = 0\n[process:v]\ncommand = ./none\n"), @r#"
    app.ini:4: [process:web]: web is the app itself: its command is the runner
    app.ini:5: [process:A]: after the colon stands a name: up to 20 lower-case letters, digits, '-' and '_', beginning with a letter
    app.ini:6: [process:]: after the colon stands a name: up to 20 lower-case letters, digits, '-' and '_', beginning with a letter
    app.ini:7: [proces:x]: unknown section: there are [production], [env], [backup], [process:NAME] and [cron:NAME]
    app.ini:8: process:w.command: the key is missing: a process runs a command, e.g. command = python3 worker.py
    app.ini:9: process:w.comand: unknown key, did you mean "command"?
    app.ini:10: process:w.count: "-1" is not a number from 0 to 100
    app.ini:11: process:w.memory: "1" is not an amount of memory from 16M to 1024G: write 256M or 1G
    app.ini:12: process:w.stop_timeout: "0" is not a time from 1s to 1h: write seconds, or a number with s, m or h
    app.ini:14: process:v.command: there is no file "none" in the app
    "#);
}

#[test]
fn crons() {
    let dir = app(&["app.py"]);
    let text = "[production]\napp_name = a\nrunner = app.py\n[cron:a]\nevery = 6h\nrun = python3 a.py\n[cron:b]\nat = 03:15\ntimezone = Europe/Berlin\nfetch = /b?c\nconcurrency = replace\n[cron:c]\nschedule = 0 0 13 * fri\nfetch = /\nconcurrency = Allow\n";
    let settings = parse_in(dir.path(), text).unwrap().settings;
    insta::assert_snapshot!(serde_json::to_string(&settings.crons).unwrap(), @r#"{"a":{"calendar":["*-*-* 00/6:00:00"],"timezone":null,"job":{"run":["python3","a.py"]},"concurrency":"forbid"},"b":{"calendar":["*-*-* 03:15:00"],"timezone":"Europe/Berlin","job":{"fetch":"/b?c"},"concurrency":"replace"},"c":{"calendar":["*-*-13 00:00:00","Fri *-*-* 00:00:00"],"timezone":null,"job":{"fetch":"/"},"concurrency":"allow"}}"#);
    insta::assert_snapshot!(problems("[cron:x]\n[cron:y]\nat = 3:15\nevery = 7m\nrun = x\nfetch = /\n[cron:z]\nschedule = * * * *\nfetch = x\nconcurrency = maybe\ntimezone = ../../etc/passwd\nruns = 1\n"), @r#"
    app.ini:4: [cron:x]: one of every, at, schedule says when it runs
    app.ini:4: [cron:x]: one of run, fetch says what it does
    app.ini:6: cron:y.at: "3:15" is not a time of the day like 03:15
    app.ini:7: cron:y.every: "7m" does not go into an hour or a day: 1m, 2m, 5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h and 24h do
    app.ini:7: cron:y.every: at in line 6 says when it runs already
    app.ini:9: cron:y.fetch: run in line 8 says what it does already
    app.ini:11: cron:z.schedule: "* * * *" is no line of a crontab: that has five fields (minute, hour, day of the month, month, day of the week), as in 15 3 * * 1-5, or is @hourly, @daily, @weekly, @monthly or @yearly
    app.ini:12: cron:z.fetch: "x" is not a URL path: it starts with one '/', without scheme and host
    app.ini:13: cron:z.concurrency: "maybe" is not forbid, allow or replace
    app.ini:14: cron:z.timezone: "../../etc/passwd" is not the name of a time zone like Europe/Berlin or UTC
    app.ini:15: cron:z.runs: unknown key, did you mean "run"?
    "#);
}

#[test]
fn files_of_the_originals() {
    let dir = app(&["src/neighborly/silver-runner.py", "bin/django-admin.py", "src/kai/production.ini"]);
    let neighborly = "[production]\napp_name = neighborly\nservice.files =\nservice.postgis =\nrunner = src/neighborly/silver-runner.py\ndefault_location = staging.neighborly.example.com\nupdate_fetch = script:bin/django-admin.py syncdb\npackages =\n  python-simplejson\n  gdal-bin\n";
    let config = parse_in(dir.path(), neighborly).unwrap();
    assert_eq!(config.settings.services.len(), 2);
    assert_eq!(config.settings.update_fetch, [Fetch::Script(vec!["bin/django-admin.py".into(), "syncdb".into()])]);
    let pylons = "[production]\napp_name = kai\nversion = 1\nrunner = src/kai/production.ini\nupdate_fetch = /sync_app\nservice.couchdb =\nservice.files =\ndefault_host = pylonshq.com\n";
    let config = parse_in(dir.path(), pylons).unwrap();
    assert!(matches!(config.settings.runner, Some(Runner::Paste { .. })));
    assert_eq!(config.warnings, []);
}

#[test]
fn a_megabyte_is_read_or_refused() {
    let values: String = (0..30_000).map(|n| format!("  package-with-a-long-name-{n}\n")).collect();
    assert_eq!(problems(&format!("packages =\n{values}")), "");
    let value = "x".repeat(1 << 20);
    assert!(
        problems(&format!("[env]\nA = {value}\n"))
            .contains("app.ini:5: env.A: the value is too large, a variable has at most 64 KiB")
    );
    let many: String = (0..100).map(|n| format!("V{n} = {}\n", "x".repeat(10_000))).collect();
    assert!(problems(&format!("[env]\n{many}")).contains("more than 512 KiB"));
    let unknown: String = (0..50_000).map(|n| format!("unknown-key-{n} = 1\n")).collect();
    assert!(problems(&unknown).ends_with("and 49800 more problems"));
}

/// What other parts rely on when a file was accepted.
fn is_safe(settings: &Settings) -> bool {
    let path = |text: &String| {
        !text.starts_with('/')
            && text.split('/').all(|part| !["", ".", ".."].contains(&part))
            && !text.contains(|c: char| c.is_control() || "\"\\$%<>".contains(c))
    };
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    settings.runner.as_ref().is_none_or(|runner| match runner {
        Runner::Wsgi { file, object } | Runner::Paste { file, object } => path(file) && word(object),
        Runner::Php { file } => path(file),
        Runner::Command { words } => !words[0].is_empty() && words.iter().all(|word| !word.contains('\0')),
    }) && settings.php_root.as_ref().is_none_or(path)
        && settings.requirements.as_ref().is_none_or(path)
        && settings.packages.iter().all(|name| word(name) && !name.starts_with('-'))
        && settings.health_check.starts_with('/')
        && word(&settings.health_check)
        && settings
            .env
            .iter()
            .all(|(key, value)| word(key) && !key.contains('=') && values::variable_value(value).is_ok())
        && settings.update_fetch.iter().all(|fetch| match fetch {
            Fetch::Fetch(url) => url.starts_with('/') && word(url),
            Fetch::Script(words) => path(&words[0]) && words.iter().all(|word| !word.contains('\0')),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,300}") {
        let dir = app(&["app.py"]);
        if let Ok(config) = parse_in(dir.path(), &text) {
            prop_assert!(is_safe(&config.settings));
        }
    }

    #[test]
    fn hostile_values_are_refused_or_harmless(
        key in prop::sample::select([&KEYS[..22], &["service.files", "service.php", "service.a b"]].concat()),
        name in "[A-Za-z_.\"'$ ]{1,8}",
        value in prop_oneof!["(?s).{0,40}", "[a-z./#;:'\"$%<>`\\\\\n -]{0,30}", "/?(\\.\\./){0,3}[a-z.]{1,5}", "script:.{0,20}", "command:.{0,20}", "[0-9]{1,25}[smhMG]?"],
    ) {
        let dir = app(&["app.py", "ü x.py", "static/x", "site/x.php"]);
        let text = format!("[production]\napp_name = a\nrunner = app.py\n{key} = {value}\n[env]\n{name} = {value}\n");
        match parse_in(dir.path(), &text) {
            Ok(config) => prop_assert!(is_safe(&config.settings), "{:?}", config.settings),
            Err(message) => prop_assert!(!message.is_empty()),
        }
        let text = format!("[production]\napp_name = a\n{key} = {value}\n");
        if let Ok(config) = parse_in(dir.path(), &text) {
            prop_assert!(is_safe(&config.settings), "{:?}", config.settings);
        }
    }
}

#[test]
fn an_app_that_may_sleep() {
    let dir = app(&["app.py"]);
    let read = |ini: &str| parse_in(dir.path(), &format!("[production]\napp_name = a\nrunner = app.py\n{ini}"));
    let config = read("idle_stop = 30m\nidle_ignore = /health /a/b/\n").unwrap();
    assert_eq!(config.settings.idle_stop, Some(1800));
    assert_eq!(config.settings.idle_ignore, ["/health", "/a/b"]);
    assert!(config.warnings.is_empty());
    assert_eq!(read("idle_ignore = /health\n").unwrap().warnings.len(), 1);
    let problems = read("idle_stop = 2d\nidle_ignore = health /a//b /a?b\n").unwrap_err();
    assert_eq!(problems.lines().filter(|line| line.contains("idle_")).count(), 4, "{problems}");
}

#[test]
fn the_node_of_cron_jobs_is_a_name() {
    let dir = app(&["app.py"]);
    let read = |ini: &str| parse_in(dir.path(), &format!("[production]\napp_name = a\nrunner = app.py\n{ini}"));
    assert_eq!(read("").unwrap().cron_node, None);
    assert_eq!(read("cron_node = web1\n").unwrap().cron_node.unwrap().as_str(), "web1");
    assert!(read("cron_node = web1 web2\n").unwrap_err().contains("cron_node"));
}

#[test]
fn certificates() {
    use crate::config::settings::{Certificate, OwnCertificate, Tls};
    let dir = app(&["app.py", "empty.pem"]);
    std::fs::write(dir.path().join("site.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(dir.path().join("both.pem"), "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n").unwrap();
    let read = |ini: &str| parse_in(dir.path(), &format!("[production]\napp_name = a\nrunner = app.py\n{ini}"));
    let tls = |ini: &str| read(ini).unwrap().settings.tls;
    assert_eq!(tls(""), None);
    assert_eq!(tls("tls = auto\n"), Some(Tls { kind: Certificate::Auto, server: None, hsts: None, own: None }));
    let of_ours = tls("tls = auto\nhsts = 2d\nacme_server = https://ca.example.com:14000/dir\n").unwrap();
    assert_eq!((of_ours.hsts, of_ours.server.as_deref()), (Some(172_800), Some("https://ca.example.com:14000/dir")));
    let own = tls("tls = site.pem\ntls_key = env:KEY\n").unwrap();
    let named = OwnCertificate { chain: "site.pem".to_owned(), key: "env:KEY".to_owned() };
    assert_eq!((own.kind, own.own), (Certificate::Own, Some(named)));
    for wrong in
        ["site.pem\n", "empty.pem\ntls_key = env:K\n", "both.pem\ntls_key = env:K\n", "site.pem\ntls_key = command:x\n"]
    {
        assert!(read(&format!("tls = {wrong}")).is_err(), "{wrong}");
    }
    assert_eq!(read("hsts = 180d\nacme_server = https://ca\n").unwrap().warnings.len(), 2);
    let problems = read("tls = yes\nhsts = 180\nacme_server = http://ca\n").unwrap_err();
    assert_eq!(problems.lines().filter(|line| line.contains("production.")).count(), 3, "{problems}");
}

#[test]
fn services_that_cannot_be_where_they_are_said_to_be_are_told_with_the_rest() {
    let dir = app(&["app.py"]);
    let misplaced = |asked: &[ServiceUse]| {
        asked.iter().map(|it| Misplaced { service: it.name.clone(), why: format!("not at {}", it.value) }).collect()
    };
    let known = Known { services: &SERVICES, misplaced: &misplaced };
    let text = "[production]\napp_name = a\nrunner = app.py\nservice.files = node:b\nthreads = x\n";
    insta::assert_snapshot!(parse(Path::new("app.ini"), dir.path(), text, known).unwrap_err(), @r#"
    app.ini:4: production.service.files: not at node:b
    app.ini:5: production.threads: "x" is not a number from 1 to 64
    "#);
}
