//! The book builds, and no link in it leads nowhere. The chapter on commands is what clap says now.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use cloudtool::providers::{COLUMNS, DRIVERS};
use mdbook_driver::MDBook;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book")
}

#[test]
fn the_book_builds_and_its_links_lead_somewhere() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let mut mdbook = MDBook::load(book()).expect("the book loads");
    mdbook.config.build.build_dir = target.clone();
    mdbook.build().expect("the book builds");
    let pages: Vec<PathBuf> = walkdir::WalkDir::new(&target)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|ending| ending == "html"))
        .collect();
    assert!(pages.len() > 8, "only {} pages", pages.len());
    let mut broken = Vec::new();
    for page in &pages {
        let html = fs::read_to_string(page).expect("a page");
        for link in attributes(&html) {
            if !leads_somewhere(page, &link) {
                broken.push(format!("{} -> {link}", page.strip_prefix(&target).unwrap_or(page).display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Values of `href` and `src` that point into the book.
fn attributes(html: &str) -> HashSet<String> {
    let values = ["href=\"", "src=\""].iter().flat_map(|name| html.split(name).skip(1));
    values
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.starts_with("data:"))
        .map(str::to_owned)
        .collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().expect("a folder").join(file) };
    if !target.is_file() {
        // mdBook's own 404 page refers to the root of the site.
        return page.ends_with("404.html");
    }
    anchor.is_empty() || fs::read_to_string(&target).is_ok_and(|html| html.contains(&format!("id=\"{anchor}\"")))
}

#[test]
fn the_chapter_on_commands_is_what_clap_says() {
    let file = book().join("src/commands.md");
    let now = commands_page();
    if std::env::var_os("UPDATE_BOOK").is_some() {
        fs::write(&file, &now).expect("the chapter is written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == now, "docs/book/src/commands.md is not up to date; run: UPDATE_BOOK=1 cargo test --test book");
}

#[test]
fn the_table_of_providers_is_what_the_drivers_say() {
    let file = book().join("src/providers.md");
    let mut written = fs::read_to_string(&file).expect("the chapter");
    let (begin, end) = ("<!-- drivers -->\n", "<!-- end of drivers -->\n");
    let (before, rest) = written.split_once(begin).expect("its beginning is marked");
    let (_, after) = rest.split_once(end).expect("its end is marked");
    let now = format!("{before}{begin}{}{end}{after}", drivers_table());
    if std::env::var_os("UPDATE_BOOK").is_some() {
        fs::write(&file, &now).expect("the chapter is written");
        written.clone_from(&now);
    }
    assert!(written == now, "docs/book/src/providers.md is not up to date; run: UPDATE_BOOK=1 cargo test --test book");
}

/// What `list-providers` prints, as a table of the book.
fn drivers_table() -> String {
    let titles: Vec<String> = COLUMNS.iter().map(|column| column.title.to_lowercase()).collect();
    let mut table = format!("| `provider =` | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for driver in DRIVERS {
        let cells: Vec<&str> =
            COLUMNS.iter().map(|column| if (column.can)(&driver.capabilities) { "yes" } else { "–" }).collect();
        table += &format!("| `{}` | {} |\n", driver.name, cells.join(" | "));
    }
    table
}

/// The commands with their help, as a chapter.
fn commands_page() -> String {
    let mut command = cloudtool::cli::definition().term_width(100);
    command.build();
    let mut page = String::from(include_str!("commands_head.md"));
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let names: Vec<String> = shown.map(|sub| sub.get_name().to_owned()).filter(|name| name != "help").collect();
    for name in names {
        let sub = command.find_subcommand_mut(&name).expect("it was listed");
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        let rest = sub.get_long_about().map(ToString::to_string).unwrap_or_default();
        let rest = rest.strip_prefix(&about).unwrap_or(&rest).trim().to_owned();
        page += &format!("\n## {name}\n\n{about}.\n");
        if !rest.is_empty() {
            page += &format!("\n{rest}\n");
        }
        page += &format!("\n```text\n{}\n```\n", sub.render_usage().to_string().replace("Usage: ", ""));
        let rows: String = sub
            .get_arguments()
            .filter(|argument| {
                !argument.is_global_set()
                    && !argument.is_hide_set()
                    && argument.get_id() != "help"
                    && argument.get_id() != "version"
            })
            .map(row)
            .collect();
        if !rows.is_empty() {
            page += &format!("\n| argument | meaning |\n|---|---|\n{rows}");
        }
    }
    page
}

fn row(argument: &clap::Arg) -> String {
    let value = argument.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let name = match (argument.get_short(), argument.get_long()) {
        (_, None) => format!("`{value}`"),
        (short, Some(long)) => {
            let short = short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
            let value = if takes_value { format!(" {value}") } else { String::new() };
            format!("{short}`--{long}{value}`")
        }
    };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !possible.is_empty() {
        meaning += &format!("; one of {}", possible.join(", "));
    }
    if takes_value
        && let Some(default) =
            argument.get_default_values().first().and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    {
        meaning += &format!(" (default `{default}`)");
    }
    if let Some(variable) = argument.get_env().and_then(|name| name.to_str()) {
        meaning += &format!(" (`{variable}`)");
    }
    format!("| {} | {} |\n", name.replace('|', "\\|"), meaning.replace('|', "\\|"))
}
