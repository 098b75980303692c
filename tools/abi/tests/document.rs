// SPDX-License-Identifier: GPL-2.0

//! Documentation/abi.md has a table for everything that rust/abi declares, with the same names,
//! values and meanings.
//!
//! The test generates each section with a third-level heading from the code and compares the whole
//! document. `TOE_ABI_WRITE=1 cargo test -p toe-abi --test document` writes the sections instead. A
//! new table needs its heading in the document first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use toe_abi::Doc;
use toe_abi::Kind;
use toe_abi::Layout;
use toe_abi::Table;
use toe_abi::admin;
use toe_abi::completion;
use toe_abi::connection;
use toe_abi::feature;
use toe_abi::page;
use toe_abi::regs;
use toe_abi::ring;
use toe_abi::rss;
use toe_abi::rules;
use toe_abi::stats;
use toe_abi::submission;
use toe_abi::transmit;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Documentation/abi.md");

/// The sources, for the check that no table is missing below.
const SOURCES: [&str; 12] = [
    include_str!("../../../rust/abi/admin.rs"),
    include_str!("../../../rust/abi/completion.rs"),
    include_str!("../../../rust/abi/connection.rs"),
    include_str!("../../../rust/abi/mod.rs"),
    include_str!("../../../rust/abi/page.rs"),
    include_str!("../../../rust/abi/regs.rs"),
    include_str!("../../../rust/abi/ring.rs"),
    include_str!("../../../rust/abi/rss.rs"),
    include_str!("../../../rust/abi/rules.rs"),
    include_str!("../../../rust/abi/stats.rs"),
    include_str!("../../../rust/abi/submission.rs"),
    include_str!("../../../rust/abi/transmit.rs"),
];

/// Constants without a table: arrays and ranges, which the text of the document has, and parts of
/// the implementation.
const WITHOUT_TABLE: [&str; 6] = [
    "DEFAULT_KEY",
    "SIZES",
    "RECEIVED",
    "SENT",
    "DEFAULT",
    "MAX_INPUT",
];

/// Every table, with the module that declares it.
fn tables() -> Vec<(&'static str, Table)> {
    vec![
        ("", toe_abi::CONSTANTS),
        ("", feature::TABLE),
        ("regs", regs::CONSTANTS),
        ("regs", regs::REGISTERS),
        ("regs", regs::control::TABLE),
        ("regs", regs::status::TABLE),
        ("ring", ring::CONSTANTS),
        ("ring", ring::RingId::TABLE),
        ("page", page::CONSTANTS),
        ("admin", admin::CONSTANTS),
        ("admin", admin::Opcode::TABLE),
        ("admin", admin::CommandStatus::TABLE),
        ("admin", admin::Event::TABLE),
        ("admin", admin::Completion::TABLE),
        ("admin", admin::Header::TABLE),
        ("admin", admin::StartProcessor::TABLE),
        ("admin", admin::StopProcessor::TABLE),
        ("admin", admin::SetRss::TABLE),
        ("admin", admin::RemoveContext::TABLE),
        ("admin", admin::SetRule::TABLE),
        ("admin", admin::filter::TABLE),
        ("admin", admin::SetFilter::TABLE),
        ("admin", admin::SetMtu::TABLE),
        ("admin", admin::SetCoalesce::TABLE),
        ("admin", admin::storage::TABLE),
        ("admin", admin::SetStorage::TABLE),
        ("admin", admin::direction::TABLE),
        ("admin", admin::SetImpairment::TABLE),
        ("connection", connection::CONSTANTS),
        ("connection", connection::flag::TABLE),
        ("connection", connection::SendState::TABLE),
        ("connection", connection::ConnectionState::TABLE),
        ("submission", submission::CONSTANTS),
        ("submission", submission::SubmissionOp::TABLE),
        ("submission", submission::Delegate::TABLE),
        ("submission", submission::send_flag::TABLE),
        ("submission", submission::Send::TABLE),
        ("submission", submission::Return::TABLE),
        ("submission", submission::update::TABLE),
        ("submission", submission::Update::TABLE),
        ("submission", submission::Bind::TABLE),
        ("submission", submission::resync_flag::TABLE),
        ("submission", submission::Resync::TABLE),
        ("completion", completion::CONSTANTS),
        ("completion", completion::CompletionOp::TABLE),
        ("completion", completion::frame_flag::TABLE),
        ("completion", completion::HashType::TABLE),
        ("completion", completion::RxFrame::TABLE),
        ("completion", completion::PagesReleased::TABLE),
        ("completion", completion::HandoverStatus::TABLE),
        ("completion", completion::Delegated::TABLE),
        ("completion", completion::deliver_flag::TABLE),
        ("completion", completion::Deliver::TABLE),
        ("completion", completion::Placed::TABLE),
        ("completion", completion::Acked::TABLE),
        ("completion", completion::Resumed::TABLE),
        ("completion", completion::Reason::TABLE),
        ("completion", completion::Returned::TABLE),
        ("transmit", transmit::CONSTANTS),
        ("transmit", transmit::flag::TABLE),
        ("transmit", transmit::Descriptor::TABLE),
        ("rss", rss::CONSTANTS),
        ("rss", rss::field::TABLE),
        ("rss", rss::Traffic::TABLE),
        ("rss", rss::Config::TABLE),
        ("rules", rules::CONSTANTS),
        ("rules", rules::present::TABLE),
        ("rules", rules::Headers::TABLE),
        ("rules", rules::Pattern::TABLE),
        ("rules", rules::ActionKind::TABLE),
        ("stats", stats::CONSTANTS),
        ("stats", stats::Counter::TABLE),
    ]
}

/// The text of a doc comment: paragraphs in one line each, links without their targets.
fn text(doc: Doc) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in doc {
        let line = line.trim();
        let last = paragraphs.last_mut().expect("never empty");
        if line.is_empty() {
            paragraphs.push(String::new());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(line);
        }
    }
    paragraphs.iter().map(|text| without_links(text)).collect()
}

/// Turns [`super::a::B`](path) and [`B`] into `a::B` and `B`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").expect("a link ends");
        let after = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').expect("a target ends").1,
            None => after,
        };
        write!(plain, "{before}`{}`", name.replace("super::", "")).expect("a string");
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// A number as decimal and, unless that is the same, as hexadecimal.
fn number(value: u64) -> String {
    match value {
        0..=9 => value.to_string(),
        _ => format!("{value} (`{value:#x}`)"),
    }
}

/// The section of a table.
fn section(module: &str, table: &Table) -> String {
    let path = match module {
        "" => format!("`{}`", table.name),
        _ => format!("`{module}::{}`", table.name),
    };
    let heading = match table.kind {
        Kind::Structure(size) => format!("{path} ({size} bytes)"),
        Kind::Enumeration(raw) => format!("{path} (`{raw}`)"),
        Kind::Flags(field) => format!("{path} (flags, `{field}`)"),
        Kind::Registers | Kind::Constants | Kind::Counters => path,
    };
    let head = match table.kind {
        Kind::Structure(_) => "| offset | size | field | meaning |\n|---:|---:|---|---|",
        Kind::Enumeration(_) => "| value | name | meaning |\n|---:|---|---|",
        Kind::Flags(_) => "| bit | mask | name | meaning |\n|---:|---:|---|---|",
        Kind::Registers => "| offset | size | name | meaning |\n|---:|---:|---|---|",
        Kind::Constants => "| name | value | meaning |\n|---|---:|---|",
        Kind::Counters => "| index | name | meaning |\n|---:|---|---|",
    };
    let mut section = format!("### {heading}\n\n");
    for paragraph in text(table.doc).iter().filter(|text| !text.is_empty()) {
        writeln!(section, "{paragraph}\n").expect("a string");
    }
    writeln!(section, "{head}").expect("a string");
    for row in table.rows {
        let (name, value, size) = (row.name, row.number, row.size);
        let meaning = text(row.doc).join(" ");
        let cells = match table.kind {
            Kind::Structure(_) => format!("{value} | {size} | `{name}`"),
            Kind::Enumeration(_) | Kind::Counters => format!("{value} | `{name}`"),
            Kind::Flags(_) => format!("{value} | `{:#x}` | `{name}`", 1u64 << value),
            Kind::Registers => format!("`{value:#04x}` | {size} | `{name}`"),
            Kind::Constants => format!("`{name}` | {}", number(value)),
        };
        writeln!(section, "| {cells} | {meaning} |").expect("a string");
    }
    section.push('\n');
    section
}

/// The sections of a document: each begins with a heading, the first with the document.
fn split(document: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for line in document.lines() {
        if line.starts_with('#') {
            sections.push(String::new());
        }
        let last = sections.last_mut().expect("never empty");
        last.push_str(line);
        last.push('\n');
    }
    sections
}

#[test]
fn the_document_is_what_the_code_says() {
    let document = fs::read_to_string(PATH).expect("Documentation/abi.md");
    let mut generated: BTreeMap<_, _> = tables()
        .iter()
        .map(|(module, table)| {
            let section = section(module, table);
            // The name is what stands between the first backquotes.
            let name = section.split('`').nth(1).unwrap_or_default().to_string();
            (name, section)
        })
        .collect();
    let mut expected = String::new();
    for section in split(&document) {
        let name = section
            .strip_prefix("### `")
            .and_then(|rest| rest.split('`').next());
        match name {
            Some(name) => {
                expected += &generated
                    .remove(name)
                    .unwrap_or_else(|| panic!("abi.md has a table of {name}, rust/abi has not"))
            }
            None => expected += &section,
        }
    }
    assert!(
        generated.is_empty(),
        "abi.md has no heading for: {:?}",
        generated.keys()
    );
    let expected = format!("{}\n", expected.trim_end());
    if std::env::var_os("TOE_ABI_WRITE").is_some() {
        fs::write(PATH, expected).expect("Documentation/abi.md");
    } else {
        assert!(
            document == expected,
            "abi.md differs from rust/abi: run TOE_ABI_WRITE=1 cargo test -p toe-abi --test document"
        );
    }
}

/// The list of tables is complete, and every constant is in one.
#[test]
fn everything_has_a_table() {
    let macros = [
        "layout",
        "wire_enum",
        "flags",
        "constants",
        "registers",
        "counters",
    ];
    let mut declared = 0;
    for line in SOURCES.iter().flat_map(|source| source.lines()) {
        let starts = |name: &&str| line.strip_prefix(*name) == Some("! {");
        declared += macros.iter().filter(|name| starts(name)).count();
    }
    assert_eq!(declared, tables().len());

    let listed: Vec<_> = tables()
        .iter()
        .flat_map(|(_, table)| table.rows.iter().map(|row| row.name))
        .collect();
    for line in SOURCES.iter().flat_map(|source| source.lines()) {
        let Some((name, _)) = line
            .trim_start()
            .strip_prefix("pub const ")
            .and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        // Functions, and what the macros emit: `$name`, `ALL`, `TABLE`.
        let emitted = ["$", "fn ", "ALL", "TABLE"]
            .iter()
            .any(|own| name.starts_with(own));
        assert!(
            emitted || listed.contains(&name) || WITHOUT_TABLE.contains(&name),
            "{name} has no table: declare it in constants!"
        );
    }
}

/// What is no number stands in the text.
#[test]
fn the_text_has_the_hash_key() {
    let document = fs::read_to_string(PATH).expect("Documentation/abi.md");
    for line in rss::DEFAULT_KEY.chunks(8) {
        let line: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = line.join(" ");
        assert!(document.contains(&line), "the key has a line {line}");
    }
}
