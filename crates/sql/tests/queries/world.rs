//! A lake of tables and objects in memory, and queries on it in real workers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_hive::format::classes;
use millpond_query::{
    Answer, Column, Host, ListedObject, ListedPage, Partition, PartitionPage, PartitionRun, Pool, PoolSettings,
    QueryError, Run, Sink, Stats, Storage, Table, ask,
};

/// Tables and objects.
#[derive(Clone, Default)]
pub struct Lake {
    pub tables: BTreeMap<(String, String), Table>,
    pub partitions: BTreeMap<(String, String), Vec<Partition>>,
    /// How the rows of each of them lie, where otherwise than the table's.
    pub storages: BTreeMap<(String, String), Vec<Storage>>,
    pub objects: BTreeMap<(String, String), Bytes>,
}

/// When every object was put: 2020-01-02 03:04:05.6789.
const PUT: u64 = 1_577_934_245_678_900_000;

/// What a query gave.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub columns: Vec<Column>,
    pub rows: String,
    pub count: u64,
    pub stats: Stats,
}

pub fn column(name: &str, kind: &str) -> Column {
    Column { name: name.into(), kind: kind.into(), ..Column::default() }
}

/// `a int, b string`
pub fn columns(text: &str) -> Vec<Column> {
    let one = |part: &str| {
        let (name, kind) = part.trim().split_once(' ').unwrap();
        column(name, kind)
    };
    text.split(", ").filter(|part| !part.is_empty()).map(one).collect()
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Lake {
    /// A table in the folder `s3://lake/NAME`, with its objects.
    pub fn table(
        mut self,
        name: &str,
        described: &str,
        (classes, parameters): (classes::Classes, &[(&str, &str)]),
        objects: &[(&str, &[u8])],
    ) -> Self {
        let storage = Storage {
            columns: columns(described),
            location: format!("s3://lake/{name}"),
            input_format: classes.0.into(),
            serde: classes.2.into(),
            serde_parameters: map(parameters),
        };
        let table = Table { database: "db".into(), name: name.into(), storage: Some(storage), ..Table::default() };
        self.tables.insert(("db".into(), name.into()), table);
        for (key, bytes) in objects {
            self.objects.insert(("lake".into(), format!("{name}/{key}")), Bytes::copy_from_slice(bytes));
        }
        self
    }

    pub fn view(mut self, name: &str, statement: &str) -> Self {
        let table = Table { database: "db".into(), name: name.into(), view: statement.into(), ..Table::default() };
        self.tables.insert(("db".into(), name.into()), table);
        self
    }

    fn answer(&self, what: ask::What) -> (Answer, Bytes) {
        let refused = |code: &str| {
            let answer = Answer { error: code.into(), message: format!("{code} it is"), ..Answer::default() };
            (answer, Bytes::new())
        };
        match what {
            ask::What::Table(asked) => match self.tables.get(&(asked.database, asked.name)) {
                Some(table) => (Answer { table: Some(table.clone()), ..Answer::default() }, Bytes::new()),
                None => refused("EntityNotFoundException"),
            },
            ask::What::Partitions(asked) => {
                let key = (asked.database, asked.table);
                let partitions = self.partitions.get(&key).cloned().unwrap_or_default();
                let runs = match self.storages.get(&key) {
                    None => vec![PartitionRun { storage: None, partitions }],
                    Some(storages) => {
                        let run = |(one, storage): (Partition, &Storage)| PartitionRun {
                            storage: Some(storage.clone()),
                            partitions: vec![one],
                        };
                        partitions.into_iter().zip(storages).map(run).collect()
                    }
                };
                let partitions = Some(PartitionPage { runs, next: String::new() });
                (Answer { partitions, ..Answer::default() }, Bytes::new())
            }
            ask::What::List(asked) => {
                // Of one bucket only the folders of days may be listed.
                if asked.bucket == "closed" || asked.bucket == "narrow" && !asked.prefix.contains("d=") {
                    return refused("AccessDenied");
                }
                let of = |((_, key), bytes): (&(String, String), &Bytes)| {
                    let etag = format!("{}", bytes.len());
                    ListedObject { key: key.clone(), size: bytes.len() as u64, etag, modified: PUT }
                };
                let from = self.objects.range((asked.bucket.clone(), asked.prefix.clone())..);
                let listed =
                    from.take_while(|((bucket, key), _)| *bucket == asked.bucket && key.starts_with(&asked.prefix));
                let objects = listed.map(of).collect();
                (
                    Answer { listing: Some(ListedPage { objects, next: String::new() }), ..Answer::default() },
                    Bytes::new(),
                )
            }
            ask::What::Read(asked) => match self.objects.get(&(asked.bucket, asked.key)) {
                Some(bytes) if asked.to as usize <= bytes.len() => {
                    (Answer::default(), bytes.slice(asked.from as usize..asked.to as usize))
                }
                Some(_) => refused("InvalidRange"),
                None => refused("NoSuchKey"),
            },
        }
    }
}

impl Host for Lake {
    fn ask(&self, what: ask::What) -> BoxFuture<'_, (Answer, Vec<Bytes>)> {
        async move {
            let (answer, bytes) = self.answer(what);
            (answer, vec![bytes])
        }
        .boxed()
    }
}

impl Sink for Given {
    fn columns(&mut self, columns: Vec<Column>) -> BoxFuture<'_, Result<(), String>> {
        self.columns = columns;
        async { Ok(()) }.boxed()
    }

    fn rows(&mut self, count: u64, rows: Bytes) -> BoxFuture<'_, Result<(), String>> {
        self.count += count;
        self.rows.push_str(std::str::from_utf8(&rows).unwrap());
        async { Ok(()) }.boxed()
    }

    fn progress(&mut self, stats: Stats) {
        self.stats = stats;
    }
}

pub fn settings(memory: u64) -> PoolSettings {
    PoolSettings {
        program: env!("CARGO_BIN_EXE_millpond-query-helper").into(),
        arguments: Vec::new(),
        workers: 2,
        memory,
        spill: 1 << 30,
        threads: 2,
        spill_dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

pub fn pool(memory: u64) -> Pool {
    Pool::new(settings(memory))
}

pub async fn run_in(pool: &Pool, lake: &Lake, run: Run) -> Result<Given, QueryError> {
    let mut given = Given::default();
    let run = Run { database: "db".into(), ..run };
    given.stats = pool.run(run, lake, &mut given, || ()).await?;
    Ok(given)
}

/// The rows of a query, one a line, its values in quotes.
pub async fn query(lake: &Lake, statement: &str) -> Result<Given, QueryError> {
    run_in(&pool(256 << 20), lake, Run { statement: statement.into(), ..Run::default() }).await
}

/// What a query fails with.
pub async fn failure(lake: &Lake, statement: &str) -> String {
    query(lake, statement).await.unwrap_err().to_string()
}
