//! Answers what a query asks, as its caller by way of the service, and remembers what was answered: a result may be reused as long as the answers
//! are the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_ddl::{View, view_of};
use millpond_kernel::{
    Caller, Catalog, CatalogColumn, CatalogPartition, CatalogStorage, CatalogTable, ObjectReads, ServiceError,
};
use millpond_query::{
    Answer, Ask, Column, Host, ListedObject, ListedPage, Partition, PartitionPage, PartitionRun, Storage, Table, ask,
};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::limits::{MAX_EVIDENCE, MAX_EVIDENCE_BYTES};
use crate::tables::AskedRow;

/// The type of views in the catalog.
const VIEW: &str = "VIRTUAL_VIEW";
/// What begins the text of a view that is not plain text.
const PRESTO: &str = "/* Presto View";

/// Answers of one query.
pub(crate) struct Answers {
    caller: Arc<Caller>,
    catalog: Option<Arc<dyn Catalog>>,
    reads: Option<Arc<dyn ObjectReads>>,
    evidence: Mutex<Evidence>,
}

/// What was asked, and digests of what was answered.
#[derive(Default)]
struct Evidence {
    asked: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
    /// There was more than is remembered, or not always the same.
    incomplete: bool,
}

impl Answers {
    /// `caller` is the query's, by way of the service.
    pub fn new(caller: Arc<Caller>, catalog: Option<Arc<dyn Catalog>>, reads: Option<Arc<dyn ObjectReads>>) -> Self {
        Self { caller, catalog, reads, evidence: Mutex::default() }
    }

    /// What was asked so far; `None` where that is not all there was.
    pub fn asked(&self) -> Option<Vec<AskedRow>> {
        let evidence = self.evidence.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |(what, digest): (&Vec<u8>, &Vec<u8>)| AskedRow { what: what.clone(), digest: digest.clone() };
        (!evidence.incomplete).then(|| evidence.asked.iter().map(row).collect())
    }

    fn remember(&self, what: Vec<u8>, digest: Vec<u8>) {
        let mut evidence = self.evidence.lock().unwrap_or_else(PoisonError::into_inner);
        match evidence.asked.get(&what) {
            Some(known) => evidence.incomplete |= *known != digest,
            None => {
                evidence.bytes += what.len() + digest.len();
                evidence.incomplete |= evidence.bytes > MAX_EVIDENCE_BYTES || evidence.asked.len() >= MAX_EVIDENCE;
                if evidence.incomplete {
                    evidence.asked.clear();
                } else {
                    evidence.asked.insert(what, digest);
                }
            }
        }
    }

    /// Whether something that another query asked is answered the same now, to this caller.
    pub async fn holds(&self, asked: &AskedRow) -> bool {
        let Ok(Ask { what: Some(what), .. }) = Ask::decode(asked.what.as_slice()) else { return false };
        if let (ask::What::Read(read), Some(reads)) = (&what, &self.reads) {
            let state = reads.head(Arc::clone(&self.caller), &read.bucket, &read.key).await;
            return state.is_ok_and(|state| state.etag == read.etag);
        }
        self.answer(&what).await.is_ok_and(|(mut answer, _)| digest(&mut answer) == asked.digest)
    }

    fn catalog(&self) -> Result<&Arc<dyn Catalog>, ServiceError> {
        self.catalog.as_ref().ok_or_else(|| ServiceError::not_implemented("A catalog of tables"))
    }

    fn reads(&self) -> Result<&Arc<dyn ObjectReads>, ServiceError> {
        self.reads.as_ref().ok_or_else(|| ServiceError::not_implemented("Reading of objects"))
    }

    async fn answer(&self, what: &ask::What) -> Result<(Answer, Vec<Bytes>), ServiceError> {
        let (caller, mut answer, mut payload) = (Arc::clone(&self.caller), Answer::default(), Vec::new());
        let some = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        match what {
            ask::What::Table(of) => {
                answer.table = Some(table(self.catalog()?.table(caller, &of.database, &of.name).await?)?);
            }
            ask::What::Partitions(of) => {
                let (expression, after) = (some(&of.expression), some(&of.after));
                let (expression, after) = (expression.as_deref(), after.as_deref());
                let page = self.catalog()?.partitions(caller, &of.database, &of.table, expression, after).await?;
                answer.partitions = Some(PartitionPage { runs: runs(page.0), next: page.1.unwrap_or_default() });
            }
            ask::What::List(of) => {
                let after = some(&of.after);
                let page = self.reads()?.list(caller, &of.bucket, &of.prefix, None, after.as_deref()).await?;
                let object = |object: millpond_kernel::Listed| ListedObject {
                    key: object.key,
                    size: object.size,
                    etag: object.etag,
                    modified: object.modified.0,
                };
                let objects = page.objects.into_iter().map(object).collect();
                answer.listing = Some(ListedPage { objects, next: page.next.unwrap_or_default() });
            }
            ask::What::Read(of) => {
                let most = millpond_query::wire::MAX_PAYLOAD as u64;
                if of.to.saturating_sub(of.from) > most {
                    return Err(ServiceError::new(
                        "InvalidRange",
                        416,
                        format!("At most {most} bytes are read at once."),
                    ));
                }
                payload = self.reads()?.get_range(caller, &of.bucket, &of.key, &of.etag, of.from..of.to).await?;
            }
        }
        Ok((answer, payload))
    }
}

/// The question as it is remembered: of bytes of an object, which object, as it was.
fn question(what: &ask::What) -> Vec<u8> {
    let mut what = what.clone();
    if let ask::What::Read(read) = &mut what {
        (read.from, read.to) = (0, 0);
    }
    Ask { id: 0, what: Some(what), turn: 0 }.encode_to_vec()
}

/// What the next page is asked for with.
fn token(answer: &mut Answer) -> Option<&mut String> {
    let listed = answer.listing.as_mut().map(|page| &mut page.next);
    listed.or(answer.partitions.as_mut().map(|page| &mut page.next)).filter(|token| !token.is_empty())
}

/// Without what differs each time that a page is asked for.
fn digest(answer: &mut Answer) -> Vec<u8> {
    let kept = token(answer).map(|token| std::mem::replace(token, "more".to_owned()));
    let digest = Sha256::digest(answer.encode_to_vec()).to_vec();
    if let (Some(token), Some(kept)) = (token(answer), kept) {
        *token = kept;
    }
    digest
}

impl Host for Answers {
    fn ask(&self, what: ask::What) -> BoxFuture<'_, (Answer, Vec<Bytes>)> {
        async move {
            match self.answer(&what).await {
                Ok((mut answer, payload)) => {
                    let is_read = matches!(what, ask::What::Read(_));
                    let digest = if is_read { Vec::new() } else { digest(&mut answer) };
                    self.remember(question(&what), digest);
                    (answer, payload)
                }
                Err(error) => {
                    let (code, message) = (error.code.into_owned(), error.message);
                    (Answer { error: code, message, ..Answer::default() }, Vec::new())
                }
            }
        }
        .boxed()
    }
}

fn column(column: CatalogColumn) -> Column {
    Column { name: column.name, kind: column.kind, precision: 0, scale: 0 }
}

fn storage(storage: CatalogStorage) -> Storage {
    Storage {
        columns: storage.columns.into_iter().map(column).collect(),
        location: storage.location.unwrap_or_default(),
        input_format: storage.input_format.unwrap_or_default(),
        serde: storage.serde.unwrap_or_default(),
        serde_parameters: storage.serde_parameters,
    }
}

/// Partitions by how their rows lie, which the catalog shares among them.
fn runs(partitions: Vec<CatalogPartition>) -> Vec<PartitionRun> {
    let (mut runs, mut last) = (Vec::<PartitionRun>::new(), None::<Arc<CatalogStorage>>);
    for CatalogPartition { values, location, storage: lies, .. } in partitions {
        let one = Partition { values, location: location.unwrap_or_default() };
        match runs.last_mut().filter(|_| last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &lies))) {
            Some(run) => run.partitions.push(one),
            None => {
                let storage = Some(storage(CatalogStorage::clone(&lies)));
                runs.push(PartitionRun { storage, partitions: vec![one] });
                last = Some(lies);
            }
        }
    }
    runs
}

fn table(table: CatalogTable) -> Result<Table, ServiceError> {
    let view = view(&table).ok_or_else(|| {
        let text = format!("The view {}.{} is not one that can be read.", table.database, table.name);
        ServiceError::new("InvalidInputException", 400, text)
    })?;
    Ok(Table {
        database: table.database,
        name: table.name,
        storage: Some(storage(table.storage)),
        partition_keys: table.partition_keys.into_iter().map(column).collect(),
        parameters: table.parameters,
        view: view.query,
        view_database: view.database,
    })
}

/// What a view stands for: nothing, of a table; `None` for a view that cannot be read.
fn view(table: &CatalogTable) -> Option<View> {
    if table.table_type != VIEW {
        return Some(View { query: String::new(), database: String::new() });
    }
    if let Some(view) = view_of(table) {
        return Some(view);
    }
    // Hive's views are plain text, the expanded one with all names in full.
    let texts = [table.view_expanded.as_deref(), table.view_original.as_deref()];
    let plain = texts.into_iter().flatten().find(|text| !text.is_empty() && !text.starts_with(PRESTO))?;
    Some(View { query: plain.to_owned(), database: table.database.clone() })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn views_of_both_kinds() {
        let presto = |json: &str| format!("/* Presto View: {} */", STANDARD.encode(json));
        for (original, expanded, expected) in [
            (presto(r#"{"originalSql":"SELECT 1","schema":"s"}"#), Some("/* Presto View */"), Some(("SELECT 1", "s"))),
            (presto(r#"{"originalSql":"SELECT 1"}"#), None, Some(("SELECT 1", "d"))),
            ("select a from b".into(), Some("select `b`.`a` from `d`.`b`"), Some(("select `b`.`a` from `d`.`b`", "d"))),
            ("select a from b".into(), None, Some(("select a from b", "d"))),
            (presto("[]"), None, None),
            ("/* Presto View: !! */".into(), None, None),
        ] {
            let table = CatalogTable {
                database: "d".into(),
                table_type: VIEW.into(),
                view_original: Some(original.clone()),
                view_expanded: expanded.map(str::to_owned),
                ..CatalogTable::default()
            };
            let expected = expected.map(|(query, database)| View { query: query.into(), database: database.into() });
            assert_eq!(view(&table), expected, "{original}");
        }
        assert_eq!(view(&CatalogTable::default()).map(|view| view.query), Some(String::new()));
    }

    #[test]
    fn partitions_have_folders_of_their_own() {
        let shared = |serde: &str| Arc::new(CatalogStorage { serde: Some(serde.into()), ..CatalogStorage::default() });
        let (rows, words) = (shared("rows"), shared("words"));
        let partition = |(year, storage): (&str, &Arc<CatalogStorage>)| CatalogPartition {
            values: vec![year.into()],
            location: Some(format!("s3://lake/year={year}/")),
            storage: Arc::clone(storage),
            ..CatalogPartition::default()
        };
        let given = [("2019", &rows), ("2020", &rows), ("2021", &words), ("2022", &rows)];
        let shown = |run: PartitionRun| {
            let of = |one: Partition| format!("{} {}", one.values.join(" "), one.location);
            (run.storage.unwrap().serde, run.partitions.into_iter().map(of).collect::<Vec<_>>().join(", "))
        };
        let made: Vec<(String, String)> = runs(given.map(partition).into()).into_iter().map(shown).collect();
        assert_eq!(
            made,
            [
                ("rows", "2019 s3://lake/year=2019/, 2020 s3://lake/year=2020/"),
                ("words", "2021 s3://lake/year=2021/"),
                ("rows", "2022 s3://lake/year=2022/")
            ]
            .map(|(serde, all)| (serde.to_owned(), all.to_owned()))
        );
    }

    #[test]
    fn what_is_remembered_of_questions() {
        let read =
            |from, to| ask::What::Read(ask::Read { bucket: "b".into(), key: "k".into(), etag: "e".into(), from, to });
        assert_eq!(question(&read(0, 5)), question(&read(5, 9)));
        let page = |next: &str| Answer {
            listing: Some(ListedPage { objects: Vec::new(), next: next.into() }),
            ..Answer::default()
        };
        assert_eq!(digest(&mut page("a")), digest(&mut page("b")));
        assert_ne!(digest(&mut page("a")), digest(&mut page("")));
    }
}
