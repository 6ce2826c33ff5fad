//! Public types that meet in the facade have names of their own.

use std::{collections::BTreeMap, fs, path::Path};

/// The types that a crate's `lib.rs` re-exports from its own modules.
fn exported(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for statement in source.split(';').filter_map(|part| part.split("pub use ").nth(1)) {
        let foreign = statement.trim_start().starts_with("funnelpulse_");
        let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        names.extend(words.filter(|w| !foreign && w.starts_with(char::is_uppercase)).map(str::to_owned));
    }
    names
}

/// Public modules of a crate, whose `mod.rs` or file may export more.
fn modules(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
}

#[test]
fn no_two_crates_export_a_type_of_the_same_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let facade = fs::read_to_string(crates.join("funnelpulse/src/lib.rs")).unwrap();
    let members = facade.split("pub use funnelpulse_").skip(1).map(|rest| rest.split([' ', ':', ';']).next().unwrap());
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in members {
        let folder = crates.join(format!("funnelpulse-{}/src", member.replace('_', "-")));
        let library = fs::read_to_string(folder.join("lib.rs")).unwrap();
        let mut names = exported(&library);
        for module in modules(&library) {
            let files = [folder.join(module).join("mod.rs"), folder.join(format!("{module}.rs"))];
            let source = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap();
            names.extend(exported(&source));
            let types = ["pub struct ", "pub enum ", "pub trait "];
            let own = source.lines().filter_map(|line| types.iter().find_map(|t| line.strip_prefix(t)));
            names.extend(own.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()));
        }
        for name in names {
            let owners = owners.entry(name).or_default();
            if !owners.iter().any(|owner| owner == member) {
                owners.push(member.to_owned());
            }
        }
    }
    // Constants are read in the context of their crate.
    owners.retain(|name, _| name.chars().any(char::is_lowercase));
    assert!(owners.len() > 150, "{} names", owners.len());
    let twice: Vec<_> = owners.iter().filter(|(_, owners)| owners.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
