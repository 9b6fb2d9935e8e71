//! The page `dlrm::guide::paper_map` has every part of the paper, and what it names is there: items of the library, whose
//! documentation names the part as well, tests in their files, examples and their flags. So are the tests that
//! `dlrm::guide::where_we_differ` names.

mod common;
#[path = "common/page.rs"]
mod page;

use page::{Helps, cells, check_test, code, root};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../src/guide/paper_map.md");
const DIFFERENCES: &str = include_str!("../src/guide/where_we_differ.md");

/// The parts of the paper, in its order: all sections, equations, tables, figures and algorithms, and those footnotes that
/// say more than where to find something.
#[rustfmt::skip]
const PARTS: [&str; 35] = [
    "Section 1", "Section 2", "Section 2.1",
    "Section 2.1.1", "Equation 1", "Equation 2",
    "Section 2.1.2", "Equation 3",
    "Section 2.1.3", "Equation 4",
    "Section 2.1.4", "Equation 5",
    "Section 2.2", "Figure 1", "Table 1",
    "Section 2.3",
    "Section 3", "Figure 2",
    "Section 4", "Section 4.1", "Footnote 3", "Footnote 4",
    "Section 4.2", "Algorithm 1", "Algorithm 2", "Figure 3",
    "Section 4.3",
    "Section 5", "Figure 4", "Section 5.1", "Figure 5", "Section 5.2", "Footnote 9", "Figure 6",
    "Section 6",
];

struct Row {
    part: &'static str,
    here: &'static str,
    shown_by: &'static str,
    command: &'static str,
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| match cells(line)[..] {
        [part, here, shown_by, command] => {
            Row { part: part.split([',', ':']).next().unwrap(), here, shown_by, command }
        }
        _ => panic!("{line}: expected four cells"),
    };
    PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| in the paper")).map(row).collect()
}

/// Where the links of the page lead, by their text.
fn targets() -> HashMap<&'static str, &'static str> {
    let links = PAGE.lines().filter_map(|line| line.strip_prefix("[`")?.split_once("`]: crate::"));
    links.collect()
}

/// All Rust files below a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The documentation of each public item of a file by the item's name; of what is in an `impl` by `Type::name`.
fn documented(path: &Path) -> Vec<(String, String)> {
    let source = fs::read_to_string(path).unwrap();
    let (mut items, mut doc, mut owner) = (Vec::new(), String::new(), String::new());
    for line in source.lines() {
        let text = line.trim();
        let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        if let Some(text) = text.strip_prefix("///") {
            doc += text;
            continue;
        } else if text.starts_with('#') {
            continue;
        } else if line.starts_with("impl") {
            // `impl<T> Trait for Type`: what stands before the brace and its parameters.
            let of = line.rsplit_once(" for ").map_or(line.trim_start_matches("impl"), |(_, of)| of);
            let of = of.trim_start_matches(['<', '>', ' ']);
            owner = of.split(|c: char| !c.is_alphanumeric()).find(|word| word.len() > 1).unwrap_or_default().to_owned();
        }
        if let ["pub", kind, name, ..] = words[..]
            && ["fn", "struct", "enum", "trait"].contains(&kind)
        {
            let name = if line.starts_with(' ') { format!("{owner}::{name}") } else { name.to_owned() };
            items.push((name, std::mem::take(&mut doc)));
        }
        doc.clear();
    }
    items
}

/// The documentation of what `path` names, `crate::` left out: an item, which may be re-exported from a file below the
/// module's, a `Type::function`, or a module.
fn documentation(path: &str) -> String {
    let names: Vec<&str> = path.split("::").collect();
    let types = names.iter().position(|name| name.starts_with(char::is_uppercase)).unwrap_or(names.len() - 1);
    let (modules, item) = (root("src").join(names[..types].join("/")), names[types..].join("::"));
    let mut files = vec![modules.with_extension("rs")];
    if modules.exists() {
        sources(&modules, &mut files);
    }
    let items = files.iter().filter(|file| file.exists()).flat_map(|file| documented(file));
    let mut found: Vec<String> = items.filter(|(name, _)| *name == item).map(|(_, doc)| doc).collect();
    if let Ok(source) = fs::read_to_string(root(&format!("src/{}.rs", names.join("/"))))
        && found.is_empty()
    {
        found.push(source.lines().filter_map(|line| line.strip_prefix("//!")).collect());
    }
    assert_eq!(found.len(), 1, "crate::{path}: expected one item of that name");
    found.remove(0)
}

/// Whether a text names a part such as "Section 2.1.1", alone or in a list as "sections 2.1.1 and 2.2".
fn names_part(text: &str, part: &str) -> bool {
    let text = text.to_lowercase();
    let (kind, number) = part.split_once(' ').unwrap();
    text.match_indices(&kind.to_lowercase()).any(|(at, kind)| {
        let rest = text[at + kind.len()..].trim_start_matches('s').split(|c: char| !(c.is_alphanumeric() || c == '.'));
        let listed = rest.filter(|word| !word.is_empty()).map(|word| word.trim_end_matches('.'));
        listed.take_while(|word| word.starts_with(|c: char| c.is_ascii_digit()) || *word == "and").any(|w| w == number)
    })
}

/// The texts of the links in a cell.
fn links(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split("[`").skip(1).map(|rest| rest.split("`]").next().unwrap())
}

#[test]
fn every_part_of_the_paper_has_its_row() {
    let parts: Vec<&str> = rows().iter().map(|row| row.part).collect();
    assert_eq!(parts, PARTS);
}

#[test]
fn what_is_named_is_there_and_names_the_part() {
    let targets = targets();
    for row in rows() {
        assert!(links(row.here).next().is_some(), "{}: nothing is named", row.part);
        for link in links(row.here) {
            let target = targets.get(link).unwrap_or_else(|| panic!("{}: no target of {link}", row.part));
            let doc = documentation(target);
            assert!(names_part(&doc, row.part), "{target} does not name {}: {doc}", row.part);
        }
    }
}

#[test]
fn every_target_is_used() {
    let used: Vec<&str> = rows().into_iter().flat_map(|row| links(row.here)).collect();
    assert!(targets().keys().all(|target| used.contains(target)));
}

#[test]
fn the_tests_that_are_named_exist() {
    for row in rows() {
        assert!(code(row.shown_by).next().is_some(), "{}: shown by nothing", row.part);
        code(row.shown_by).for_each(check_test);
    }
}

#[test]
fn every_difference_is_shown_by_tests() {
    let rows = DIFFERENCES.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what |"));
    for row in rows {
        let [what, _, _, _, shown_by] = cells(row)[..] else { panic!("{row}: expected five cells") };
        assert!(code(shown_by).next().is_some(), "{what}: shown by nothing");
        code(shown_by).for_each(check_test);
    }
}

#[test]
fn the_commands_that_are_named_exist() {
    let mut helps = Helps::default();
    for row in rows() {
        assert!(code(row.command).next().is_some(), "{}: no command", row.part);
        for command in code(row.command) {
            match command.strip_prefix("cargo test -p dlrm --test ") {
                Some(test) => assert!(
                    [format!("tests/{test}.rs"), format!("tests/{test}/main.rs")]
                        .iter()
                        .any(|file| root(file).exists()),
                    "{command}: there is no such test"
                ),
                None => helps.check(command),
            }
        }
    }
}

/// The reading of a documentation, on examples.
#[test]
fn parts_are_found_in_texts() {
    for (text, part, found) in [
        ("(paper section 2.1.1, equation 2)", "Section 2.1.1", true),
        ("(paper section 2.1.1, equation 2)", "Equation 2", true),
        ("(paper section 2.1.1, equation 2)", "Section 2.1", false),
        ("(paper section 2.1.1, equation 2)", "Equation 1", false),
        ("(paper sections 2.1.2, 2.1.3 and 2.2, equations 3 and 4)", "Section 2.2", true),
        ("(paper sections 2.1.2, 2.1.3 and 2.2, equations 3 and 4)", "Equation 4", true),
        ("(paper sections 2.1.2, 2.1.3 and 2.2, equations 3 and 4)", "Section 4", false),
        ("of section 3.", "Section 3", true),
        ("Algorithm 1 of the paper", "Algorithm 1", true),
        ("of the paper's 3 figures", "Figure 3", false),
    ] {
        assert_eq!(names_part(text, part), found, "{text}: {part}");
    }
}
