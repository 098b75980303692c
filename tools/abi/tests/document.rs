// SPDX-License-Identifier: GPL-2.0

//! Documentation/abi.md says what the code says: every structure, every offset, every size, every
//! value of the enumerations and every counter.

use std::collections::BTreeMap;
use toe_abi::Layout;
use toe_abi::admin;
use toe_abi::completion;
use toe_abi::connection;
use toe_abi::rss;
use toe_abi::rules;
use toe_abi::stats;
use toe_abi::submission;
use toe_abi::transmit;

const DOCUMENT: &str = include_str!("../../../Documentation/abi.md");

/// Rows of a table: its first cells, as text.
type Rows = Vec<Vec<String>>;

/// The tables of the document by the headings above them.
fn tables() -> BTreeMap<String, Rows> {
    let mut tables = BTreeMap::<_, Rows>::new();
    let mut heading = "";
    for line in DOCUMENT.lines() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        } else if let Some(row) = line.strip_prefix("| ") {
            let cells = row.split(" | ").take(3);
            let cells = cells.map(|cell| cell.trim_matches('`').to_string());
            tables
                .entry(heading.to_string())
                .or_default()
                .push(cells.collect());
        }
    }
    // The first row of each names the columns.
    for rows in tables.values_mut() {
        rows.remove(0);
    }
    tables
}

fn layout<T: Layout>(module: &str) -> (String, Rows) {
    let heading = format!("`{module}::{}` ({} bytes)", T::NAME, T::SIZE);
    let rows = T::FIELDS.iter().map(|field| {
        vec![
            field.offset.to_string(),
            field.size.to_string(),
            field.name.to_string(),
        ]
    });
    (heading, rows.collect())
}

#[test]
fn structures() {
    let code: BTreeMap<_, _> = [
        layout::<admin::Completion>("admin"),
        layout::<admin::Header>("admin"),
        layout::<admin::StartProcessor>("admin"),
        layout::<admin::StopProcessor>("admin"),
        layout::<admin::SetRss>("admin"),
        layout::<admin::RemoveContext>("admin"),
        layout::<admin::SetRule>("admin"),
        layout::<admin::SetFilter>("admin"),
        layout::<admin::SetMtu>("admin"),
        layout::<admin::SetCoalesce>("admin"),
        layout::<admin::SetStorage>("admin"),
        layout::<admin::SetImpairment>("admin"),
        layout::<connection::Connection>("connection"),
        layout::<submission::Delegate>("submission"),
        layout::<submission::Send>("submission"),
        layout::<submission::Return>("submission"),
        layout::<submission::Update>("submission"),
        layout::<submission::Bind>("submission"),
        layout::<completion::RxFrame>("completion"),
        layout::<completion::PagesReleased>("completion"),
        layout::<completion::Delegated>("completion"),
        layout::<completion::Deliver>("completion"),
        layout::<completion::Placed>("completion"),
        layout::<completion::Acked>("completion"),
        layout::<completion::Returned>("completion"),
        layout::<transmit::Descriptor>("transmit"),
        layout::<rss::Config>("rss"),
        layout::<rules::Headers>("rules"),
        layout::<rules::Pattern>("rules"),
    ]
    .into();
    let mut document = tables();
    document.retain(|heading, _| heading.ends_with(" bytes)"));
    assert_eq!(document, code);
}

/// The list above is complete.
#[test]
fn no_structure_is_forgotten() {
    let sources = [
        include_str!("../../../rust/abi/admin.rs"),
        include_str!("../../../rust/abi/completion.rs"),
        include_str!("../../../rust/abi/connection.rs"),
        include_str!("../../../rust/abi/page.rs"),
        include_str!("../../../rust/abi/regs.rs"),
        include_str!("../../../rust/abi/ring.rs"),
        include_str!("../../../rust/abi/rss.rs"),
        include_str!("../../../rust/abi/rules.rs"),
        include_str!("../../../rust/abi/stats.rs"),
        include_str!("../../../rust/abi/submission.rs"),
        include_str!("../../../rust/abi/transmit.rs"),
    ];
    let declared = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter(|line| *line == "layout! {");
    let mut document = tables();
    document.retain(|heading, _| heading.ends_with(" bytes)"));
    assert_eq!(declared.count(), document.len());
}

macro_rules! enumeration {
    ($document:ident, $path:path, $heading:literal) => {{
        use $path as Enum;
        let code: Rows = Enum::ALL
            .iter()
            .map(|value| vec![value.raw().to_string(), format!("{value:?}")])
            .collect();
        let rows = $document.get($heading).cloned().unwrap_or_default();
        let rows: Rows = rows.into_iter().map(|row| row[..2].to_vec()).collect();
        assert_eq!(rows, code, "{}", $heading);
    }};
}

#[test]
fn enumerations() {
    let document = tables();
    enumeration!(document, admin::Opcode, "`admin::Opcode` (`u16`)");
    enumeration!(document, admin::Status, "`admin::Status` (`u16`)");
    enumeration!(document, admin::Event, "`admin::Event` (`u16`)");
    enumeration!(document, submission::Op, "`submission::Op` (`u8`)");
    enumeration!(document, completion::Op, "`completion::Op` (`u8`)");
    enumeration!(
        document,
        completion::HashType,
        "`completion::HashType` (`u8`)"
    );
    enumeration!(document, completion::Status, "`completion::Status` (`u8`)");
    enumeration!(document, completion::Reason, "`completion::Reason` (`u8`)");
    enumeration!(document, rules::ActionKind, "`rules::ActionKind` (`u16`)");
}

#[test]
fn counters() {
    let code = stats::Counter::ALL
        .iter()
        .enumerate()
        .map(|(index, counter)| vec![index.to_string(), counter.name().to_string()]);
    let rows = tables().remove("Counters").unwrap_or_default();
    let rows: Rows = rows.into_iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(rows, code.collect::<Rows>());
}
