//! What the front pages name is there: files, and tests that begin a command.

use std::path::Path;

const PAGES: [(&str, &str); 2] =
    [("README.md", include_str!("../README.md")), ("CONTRIBUTING.md", include_str!("../CONTRIBUTING.md"))];

/// The folders that a path may begin with.
const FOLDERS: [&str; 7] = ["benches/", "data/", "examples/", "kernels/", "src/", "tests/", ".ci/"];

fn exists(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// Pieces set as code that are a path and nothing else, and targets of links.
fn paths(page: &'static str) -> impl Iterator<Item = &'static str> {
    let code = page.split('`').skip(1).step_by(2).filter(|code| FOLDERS.iter().any(|f| code.starts_with(f)));
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    code.chain(links.filter(|link| !link.contains("://") && !link.starts_with('#')))
        .filter(|path| !path.contains([' ', '*', '\n']) && !path.contains("NAME"))
}

#[test]
fn files_that_are_named_exist() {
    for (name, page) in PAGES {
        let paths: Vec<&str> = paths(page).collect();
        assert!(paths.len() > 10, "{name}: {paths:?}");
        for path in paths {
            assert!(exists(path.split('#').next().unwrap()), "{name}: no {path}");
        }
    }
}

#[test]
fn tests_and_examples_in_commands_exist() {
    for (name, page) in PAGES {
        for (flag, folder) in [("--test ", "tests"), ("--example ", "examples"), ("--bench ", "benches")] {
            for rest in page.split(flag).skip(1) {
                let target = rest.split([' ', '\n', '`']).next().unwrap();
                let found = [format!("{folder}/{target}.rs"), format!("{folder}/{target}/main.rs")];
                let of_rivals = format!("benches/rivals/benches/{target}/main.rs");
                assert!(found.iter().any(|file| exists(file)) || exists(&of_rivals), "{name}: no {flag}{target}");
            }
        }
    }
}
