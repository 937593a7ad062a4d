//! Stars beside columns that no star shows ([`HIDDEN`]).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Statement, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::refuse::{self, Why};
use crate::failure::Problem;

/// The columns: where an object is, its bytes, and when it was put.
pub const HIDDEN: [&str; 3] = ["$path", "$file_size", "$file_modified_time"];

/// Whether a statement names one of the columns.
pub fn names_hidden(words: &[TokenWithSpan]) -> bool {
    let is_hidden = |name: &str| HIDDEN.iter().any(|hidden| name.eq_ignore_ascii_case(hidden));
    words.iter().any(|word| matches!(&word.token, Token::Word(name) if is_hidden(&name.value)))
}

/// The tables of a statement that have the columns: those that are no views and no queries of a WITH.
#[derive(Debug)]
pub struct Known {
    database: String,
    common: BTreeSet<String>,
    tables: BTreeSet<(String, String)>,
}

impl Known {
    /// None yet. `database` is that of names that name none, `common` the names of a WITH.
    pub fn new(database: &str, common: impl Iterator<Item = String>) -> Self {
        Self { database: database.to_lowercase(), common: common.collect(), tables: BTreeSet::new() }
    }

    /// One more.
    pub fn add(&mut self, database: String, table: String) {
        self.tables.insert((database, table));
    }

    fn has(&self, name: &ObjectName) -> bool {
        let parts: Vec<&str> =
            name.0.iter().filter_map(ObjectNamePart::as_ident).map(|name| name.value.as_str()).collect();
        let (database, table) = match parts.as_slice() {
            [table] if self.common.contains(*table) => return false,
            [table] => (self.database.as_str(), *table),
            [.., database, table] => (*database, *table),
            [] => return false,
        };
        self.tables.contains(&(database.to_owned(), table.to_owned()))
    }
}

/// Whether a list has a star.
pub fn has_star(statement: &Statement) -> bool {
    struct Stars;
    impl Visitor for Stars {
        type Break = ();

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let is_star =
                |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            if select.projection.iter().any(is_star) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    statement.visit(&mut Stars).is_break()
}

/// Keeps the columns out of every star.
///
/// # Errors
/// A star over several tables that are not all named, or are joined by USING.
pub fn without_hidden(statement: &mut Statement, known: &Known) -> ControlFlow<Problem> {
    statement.visit(&mut Hiding(known))
}

struct Hiding<'a>(&'a Known);

/// What stands in a FROM.
struct Standing {
    /// What it goes by.
    name: Option<Ident>,
    /// Whether it has the columns.
    has: bool,
}

fn is_using(join: &Join) -> bool {
    use JoinOperator as Op;
    match &join.join_operator {
        Op::Join(on)
        | Op::Inner(on)
        | Op::Left(on)
        | Op::LeftOuter(on)
        | Op::Right(on)
        | Op::RightOuter(on)
        | Op::FullOuter(on) => matches!(on, JoinConstraint::Using(_)),
        _ => false,
    }
}

impl Hiding<'_> {
    fn standing(&self, from: &[TableWithJoins], all: &mut Vec<Standing>, using: &mut bool) {
        for one in from {
            self.factor(&one.relation, all, using);
            for join in &one.joins {
                *using |= is_using(join);
                self.factor(&join.relation, all, using);
            }
        }
    }

    fn factor(&self, factor: &TableFactor, all: &mut Vec<Standing>, using: &mut bool) {
        let standing = match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                return self.standing(std::slice::from_ref(&**table_with_joins), all, using);
            }
            TableFactor::Table { name, alias, args: None, .. } => {
                let own = || name.0.last().and_then(ObjectNamePart::as_ident).cloned();
                Standing { name: alias.as_ref().map(|alias| alias.name.clone()).or_else(own), has: self.0.has(name) }
            }
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                Standing { name: alias.as_ref().map(|alias| alias.name.clone()), has: false }
            }
            _ => Standing { name: None, has: false },
        };
        all.push(standing);
    }

    fn select(&self, select: &mut Select) -> Result<(), Problem> {
        let (mut all, mut using) = (Vec::new(), false);
        self.standing(&select.from, &mut all, &mut using);
        let count = all.iter().filter(|one| one.has).count();
        if count == 0 {
            return Ok(());
        }
        let mut items = Vec::with_capacity(select.projection.len());
        for mut item in std::mem::take(&mut select.projection) {
            match &mut item {
                SelectItem::Wildcard(options) => match apart(&all, using) {
                    Some(stars) => {
                        items.extend(stars);
                        continue;
                    }
                    None if count == 1 => exclude(options),
                    None => return Err(unnamed()),
                },
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    let last = name.0.last().and_then(ObjectNamePart::as_ident);
                    let is_it = |one: &Standing| {
                        one.has && one.name.as_ref().zip(last).is_some_and(|(name, last)| name.value == last.value)
                    };
                    if all.iter().any(is_it) {
                        exclude(options);
                    }
                }
                _ => {}
            }
            items.push(item);
        }
        select.projection = items;
        Ok(())
    }
}

fn exclude(options: &mut WildcardAdditionalOptions) {
    let hidden = HIDDEN.iter().map(|name| ObjectName::from(Ident::with_quote('"', *name)));
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(hidden.collect()));
}

/// A star as one of each that stands in FROM; `None` where not all have names, or USING makes one column of two.
fn apart(all: &[Standing], using: bool) -> Option<Vec<SelectItem>> {
    let star = |one: &Standing| {
        let name = one.name.clone().filter(|_| !using)?;
        let mut options = WildcardAdditionalOptions::default();
        if one.has {
            exclude(&mut options);
        }
        let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(name));
        Some(SelectItem::QualifiedWildcard(kind, options))
    };
    all.iter().map(star).collect()
}

fn unnamed() -> Problem {
    let words = "a star over several tables beside \"$path\": name the columns, or write a star for each table";
    refuse::problem(Why::Absent, "", words)
}

impl VisitorMut for Hiding<'_> {
    type Break = Problem;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Problem> {
        match self.select(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(problem) => ControlFlow::Break(problem),
        }
    }
}
