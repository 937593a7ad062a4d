//! Which folders are tables, and which are partitions (Developer Guide, "How does a crawler determine when to create partitions?").
//!
//! From the deepest folders up: files of one schema in a folder are a table there; where most of the folders in a folder have similar schemas they are
//! partitions of one table, a level each, and the others stay tables of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_hive::names::{derived, partition_folder};

use crate::found::{Found, Layout};
use crate::schema::SIMILAR;

/// Folders in each other below the include path, at most.
pub const MAX_FOLDERS_DEEP: usize = 64;

/// A file below the include path.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its key behind the include path.
    pub path: String,
    /// What it is, whose records do not count; `None` of one that was not looked at.
    pub found: Option<Arc<Found>>,
    /// About how many rows it has.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How folders become tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// One table for the include path, as far as formats allow.
    pub combine: bool,
    /// How many folders below the include path tables are.
    pub level: Option<usize>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The values of the keys.
    pub values: Vec<String>,
    /// Its folder behind the include path, with a slash at its end.
    pub folder: String,
    /// What its files are.
    pub found: Found,
    /// How many files.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its folder behind the include path: empty, or with a slash at its end.
    pub folder: String,
    /// The file in it, of a table that is one file among others.
    pub file: Option<String>,
    /// What all of its files are together.
    pub found: Found,
    /// The keys of its partitions.
    pub keys: Vec<String>,
    /// Its partitions; none of a table without keys.
    pub parts: Vec<Part>,
    /// How many files.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Default)]
struct Node {
    folders: BTreeMap<String, Node>,
    files: Vec<File>,
}

struct File {
    name: String,
    found: Option<Arc<Found>>,
    records: u64,
    bytes: u64,
}

impl File {
    fn found(&self) -> Option<Found> {
        Some(Found { records: self.records, ..Found::clone(self.found.as_ref()?) })
    }
}

/// Files that are one table so far.
#[derive(Clone)]
struct Group {
    folder: String,
    file: Option<String>,
    found: Found,
    /// The key of each level of partitions; `None` where folders say no key.
    levels: Vec<Option<String>>,
    parts: Vec<Part>,
}

/// A group in a folder, with the folder's name.
struct Child {
    name: String,
    group: Group,
}

/// The tables of an include path, by folder; and how many files lie too deep.
pub fn plan(leaves: Vec<Leaf>, grouping: Grouping) -> (Vec<Planned>, usize) {
    let (mut root, mut deep) = (Node::default(), 0);
    for Leaf { path, found, records, bytes } in leaves {
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop().unwrap_or_default().to_owned();
        if folders.len() > MAX_FOLDERS_DEEP {
            deep += 1;
            continue;
        }
        let node = folders.iter().fold(&mut root, |node, folder| node.folders.entry((*folder).to_owned()).or_default());
        node.files.push(File { name, found, records, bytes });
    }
    let groups = grouped(root, "", 0, grouping);
    let mut planned: Vec<Planned> = groups.into_iter().filter(|group| !group.found.weak).map(planned).collect();
    planned.sort_by(|a, b| (&a.folder, &a.file).cmp(&(&b.folder, &b.file)));
    (planned, deep)
}

fn planned(group: Group) -> Planned {
    let Group { folder, file, found, levels, parts } = group;
    let mut keys: Vec<String> = Vec::with_capacity(levels.len());
    for (at, level) in levels.iter().enumerate() {
        let named = level.as_deref().map(derived);
        let taken = |key: &String| keys.contains(key) || found.columns.iter().any(|column| column.name == *key);
        keys.push(named.filter(|key| !taken(key)).unwrap_or_else(|| format!("partition_{at}")));
    }
    let (objects, bytes) =
        parts.iter().fold((0, 0), |(objects, bytes), part| (objects + part.objects, bytes + part.bytes));
    let parts = if keys.is_empty() { Vec::new() } else { parts };
    Planned { folder, file, found, keys, parts, objects, bytes }
}

/// The groups of a folder and of those in it. It nests at most [`MAX_FOLDERS_DEEP`] deep.
fn grouped(node: Node, path: &str, depth: usize, grouping: Grouping) -> Vec<Group> {
    let forced = grouping.level.map_or(grouping.combine, |level| depth >= level);
    let Node { folders, files } = node;
    let (mut children, mut others) = (Vec::new(), Vec::new());
    for (name, node) in folders {
        let folder = format!("{path}{name}/");
        for group in grouped(node, &folder, depth + 1, grouping) {
            match group.file.is_none() && group.folder == folder {
                true => children.push(Child { name: name.clone(), group }),
                false => others.push(group),
            }
        }
    }
    let own = own_groups(&files, path, forced);
    // Tables lie deeper.
    if grouping.level.is_some_and(|level| depth < level) {
        return [own, children.into_iter().map(|child| child.group).collect(), others].concat();
    }
    let mut groups = match own {
        own if own.is_empty() => Vec::new(),
        own if children.is_empty() && others.is_empty() => return own,
        own => match flat(&own, &children, &others, forced) {
            Some(all) => return vec![all],
            // The folder has more in it than these files, so that none is a table with it.
            None => by_file(&files, path, &own.into_iter().map(|group| group.found).collect::<Vec<_>>()),
        },
    };
    groups.extend(joined(children, path, forced));
    groups.extend(others);
    groups
}

/// Whether a schema is the same table's; in the reading in which it is.
fn fitting(known: &Found, other: &Found, forced: bool) -> Option<Found> {
    let fits = |other: &Found| if forced { known.is_compatible(other) } else { known.is_similar(other) };
    if fits(other) && !other.weak {
        return Some(other.clone());
    }
    other.read_as(known).filter(fits)
}

/// Those come first by which others are read.
fn order(found: &Found) -> (bool, bool) {
    let header = matches!(&found.layout, Layout::Csv(csv) if csv.header);
    (found.weak, !header)
}

/// What a folder's own files are: one group, or one for each file where their schemas differ.
fn own_groups(files: &[File], path: &str, forced: bool) -> Vec<Group> {
    let mut clusters: Vec<Found> = Vec::new();
    let mut seen: Vec<&File> = files.iter().collect();
    seen.sort_by_key(|file| file.found.as_deref().map(order));
    for found in seen.into_iter().filter_map(File::found) {
        let found = &found;
        let first = clusters.is_empty();
        let place = clusters.iter_mut().find_map(|known| Some((fitting(known, found, forced)?, known)));
        match place {
            Some((found, known)) => known.absorb(&found),
            // One line alone is nothing beside what is known.
            None if found.weak && !first => {}
            None => clusters.push(found.clone()),
        }
    }
    let group = |found: Found| {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let part = Part {
            values: Vec::new(),
            folder: path.to_owned(),
            found: found.clone(),
            objects: files.len() as u64,
            bytes,
        };
        Group { folder: path.to_owned(), file: None, found, levels: Vec::new(), parts: vec![part] }
    };
    match clusters.len() {
        0 | 1 => clusters.into_iter().map(group).collect(),
        _ => by_file(files, path, &clusters),
    }
}

/// A group for each file, read as the others are where that is one of its readings.
fn by_file(files: &[File], path: &str, known: &[Found]) -> Vec<Group> {
    let one = |file: &File| {
        let own = &file.found()?;
        let as_others = known.iter().find_map(|known| own.read_as(known));
        let found = as_others.or_else(|| Some(own.clone()).filter(|own| !own.weak))?;
        let folder = path.to_owned();
        let part =
            Part { values: Vec::new(), folder: folder.clone(), found: found.clone(), objects: 1, bytes: file.bytes };
        Some(Group { folder, file: Some(file.name.clone()), found, levels: Vec::new(), parts: vec![part] })
    };
    files.iter().filter_map(one).collect()
}

/// A folder with files of its own and others in folders below, if all of them are one table.
fn flat(own: &[Group], children: &[Child], others: &[Group], forced: bool) -> Option<Group> {
    let [first] = own else { return None };
    if first.file.is_some() || !others.is_empty() {
        return None;
    }
    let mut all = first.clone();
    let mut part = all.parts.pop()?;
    for child in children {
        let found = fitting(&all.found, &child.group.found, forced)?;
        all.found.absorb(&found);
        for below in &child.group.parts {
            (part.objects, part.bytes) = (part.objects + below.objects, part.bytes + below.bytes);
        }
    }
    part.found.clone_from(&all.found);
    all.parts.push(part);
    Some(all)
}

/// The key that a folder's name tells.
fn key_of(name: &str) -> Option<String> {
    partition_folder(name).map(|(key, _)| key)
}

/// Whether a folder that is alone is a partition by its name: `key=value`, or a part of a date.
fn is_partition(name: &str) -> bool {
    let date = name.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'T' | b':'));
    key_of(name).is_some() || (date && name.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Folders that are partitions of one table, where most are; the others as they are.
fn joined(mut children: Vec<Child>, path: &str, forced: bool) -> Vec<Group> {
    children.sort_by_key(|child| (order(&child.group.found), std::cmp::Reverse(child.group.parts.len())));
    let total = children.iter().filter(|child| !child.group.found.weak).count();
    let mut clusters: Vec<Vec<Child>> = Vec::new();
    for child in children {
        let place = clusters.iter_mut().find_map(|cluster| {
            let first = cluster.first_mut()?;
            let same = first.group.levels == child.group.levels && key_of(&first.name) == key_of(&child.name);
            let found = fitting(&first.group.found, &child.group.found, forced).filter(|_| same)?;
            // The first of a cluster has what all of it is.
            let parts = first.group.parts.clone();
            first.group.found.absorb(&found);
            first.group.parts = parts;
            Some((found, cluster))
        });
        match place {
            Some((found, cluster)) => {
                let group = Group { found, ..child.group };
                cluster.push(Child { group, ..child });
            }
            None => clusters.push(vec![child]),
        }
    }
    // Of as many, the first.
    let largest = clusters.iter().enumerate().max_by_key(|(at, cluster)| (cluster.len(), std::cmp::Reverse(*at)));
    let largest = largest.map(|(at, cluster)| (at, is_table(cluster, total, forced)));
    let mut groups = Vec::new();
    for (at, cluster) in clusters.into_iter().enumerate() {
        match largest {
            Some((place, true)) if place == at => groups.extend(partitioned(cluster, path)),
            _ => groups.extend(cluster.into_iter().map(alone)),
        }
    }
    groups
}

/// A group as it was before others were compared with it.
fn alone(child: Child) -> Group {
    let mut group = child.group;
    let mut parts = group.parts.iter();
    if let Some(first) = parts.next() {
        group.found = parts.fold(first.found.clone(), |mut all, part| {
            all.absorb(&part.found);
            all
        });
    }
    group
}

fn is_table(cluster: &[Child], total: usize, forced: bool) -> bool {
    let Some(first) = cluster.first().filter(|first| !first.group.found.weak) else { return false };
    #[expect(clippy::cast_precision_loss, reason = "numbers of folders")]
    let most = cluster.len() as f64 >= SIMILAR * total as f64;
    match cluster.len() {
        1 => total == 1 && (forced || is_partition(&first.name)),
        _ => forced || most,
    }
}

fn partitioned(cluster: Vec<Child>, path: &str) -> Option<Group> {
    let first = cluster.first()?;
    let key = key_of(&first.name);
    let mut levels = vec![key.clone()];
    levels.extend(first.group.levels.clone());
    let found = first.group.found.clone();
    let mut parts = Vec::new();
    for child in cluster {
        let value = partition_folder(&child.name).map_or(child.name.clone(), |(_, value)| value);
        for mut part in child.group.parts {
            part.values.insert(0, value.clone());
            parts.push(part);
        }
    }
    parts.sort_by(|a, b| a.values.cmp(&b.values));
    Some(Group { folder: path.to_owned(), file: None, found, levels, parts })
}

#[cfg(test)]
mod tests {
    use millpond_hive::types::Type;
    use proptest::prelude::*;

    use super::*;
    use crate::found::{Column, Csv};
    use crate::schema::Shape;
    use millpond_hive::compression::Compression;

    fn found(kind: &str, columns: &str) -> Found {
        let columns: Vec<Column> = columns
            .split(' ')
            .filter(|one| !one.is_empty())
            .map(|one| one.split_once(':').unwrap())
            .map(|(name, kind)| Column::new(name, Shape::of(Type::parse(kind).unwrap())))
            .collect();
        let csv = Csv { delimiter: ',', quote: '"', open: false, header: true, otherwise: None };
        let layout = match kind {
            "csv" => Layout::Csv(csv),
            "json" => Layout::Json { path: "$".into(), mappings: BTreeMap::new(), lines: true },
            _ => Layout::Parquet,
        };
        let classification = kind.to_owned();
        Found { classification, compression: Compression::None, layout, columns, records: 1, weak: false }
    }

    fn leaf(path: &str, kind: &str, columns: &str) -> Leaf {
        Leaf { path: path.to_owned(), found: Some(Arc::new(found(kind, columns))), records: 1, bytes: 10 }
    }

    fn shown(leaves: Vec<Leaf>, grouping: Grouping) -> Vec<String> {
        let (tables, _) = plan(leaves, grouping);
        tables
            .iter()
            .map(|table| {
                let parts: Vec<String> = table.parts.iter().map(|part| part.values.join("/")).collect();
                let columns: Vec<String> =
                    table.found.settled().iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
                let file = table.file.clone().unwrap_or_default();
                format!("{}{file}|{}|{}|{}", table.folder, table.keys.join(","), parts.join(" "), columns.join(" "))
            })
            .collect()
    }

    const A: &str = "a:int b:string c:double";
    const B: &str = "x:string y:string";

    #[test]
    fn tables_and_partitions() {
        let usual = Grouping::default();
        let one = |paths: &[(&str, &str)]| -> Vec<Leaf> {
            paths.iter().map(|(path, columns)| leaf(path, "json", columns)).collect()
        };
        let a = "a:int b:string c:double";
        for (leaves, expected) in [
            (one(&[("1.json", A), ("2.json", A)]), vec![format!("|||{a}")]),
            (one(&[("1.json", A), ("2.json", B)]), vec![format!("1.json|||{a}"), format!("2.json|||{B}")]),
            (one(&[("y=1/m=1/f", A), ("y=1/m=2/f", A), ("y=2/m=1/f", A)]), vec![format!("|y,m|1/1 1/2 2/1|{a}")]),
            (one(&[("2019/01/f", A), ("2019/02/f", A)]), vec![format!("|partition_0,partition_1|2019/01 2019/02|{a}")]),
            (one(&[("birds/f", A), ("bees/f", B)]), vec![format!("bees/|||{B}"), format!("birds/|||{a}")]),
            (
                one(&[("t1/p1/f", A), ("t1/p2/f", A), ("t2/p3/f", A)]),
                vec![format!("|partition_0,partition_1|t1/p1 t1/p2 t2/p3|{a}")][..0].to_vec(),
            ),
            (one(&[("dt=1/f", A)]), vec![format!("|dt|1|{a}")]),
            (one(&[("flights/f", A)]), vec![format!("flights/|||{a}")]),
            (one(&[("f", A), ("more/f", A)]), vec![format!("|||{a}")]),
            (one(&[("f", A), ("more/f", B)]), vec![format!("f|||{a}"), format!("more/|||{B}")]),
            (
                one(&[("year=2017/d", "a:int b:int"), ("year=2018/d", "c:int d:int")]),
                vec!["year=2017/|||a:int b:int".into(), "year=2018/|||c:int d:int".into()],
            ),
            (one(&[("a=1/f", "a:int b:int")]), vec!["|partition_0|1|a:int b:int".into()]),
            (one(&[("p=1/f", "a:int b:int"), ("p=2/f", "a:double b:int")]), vec!["|p|1 2|a:double b:int".into()]),
        ] {
            if !expected.is_empty() {
                assert_eq!(shown(leaves, usual), expected);
            }
        }
    }

    #[test]
    fn most_folders_count() {
        let mut leaves: Vec<Leaf> = (1..=8).map(|day| leaf(&format!("d={day}/f"), "json", A)).collect();
        leaves.push(leaf("d=9/f", "json", B));
        let tables = shown(leaves.clone(), Grouping::default());
        assert_eq!(tables.len(), 2);
        assert!(tables[0].starts_with("|d|1 2 3 4 5 6 7 8|") && tables[1].starts_with("d=9/|||x"), "{tables:?}");
        leaves.truncate(3);
        leaves.extend([leaf("d=7/f", "json", B), leaf("d=8/f", "json", B)]);
        assert_eq!(shown(leaves, Grouping::default()).len(), 5);
    }

    #[test]
    fn what_a_crawler_is_told() {
        let leaves = || vec![leaf("year=2017/d", "json", "a:int b:int"), leaf("year=2018/d", "json", "c:int d:int")];
        let combine = Grouping { combine: true, level: None };
        assert_eq!(shown(leaves(), combine), ["|year|2017 2018|a:int b:int c:int d:int"]);
        let mixed = || vec![leaf("x/1/d", "json", A), leaf("x/2/d", "parquet", A), leaf("y/1/d", "json", B)];
        let level = |level| Grouping { combine: true, level: Some(level) };
        assert_eq!(shown(mixed(), level(1)).len(), 3, "{:?}", shown(mixed(), level(1)));
        let deep = || vec![leaf("x/1/d", "json", A), leaf("x/2/d", "json", A), leaf("y/1/d", "json", A)];
        assert_eq!(shown(deep(), level(1)), [format!("x/|partition_0|1 2|{A}"), format!("y/|partition_0|1|{A}")]);
        assert_eq!(shown(deep(), level(0)), [format!("|partition_0,partition_1|x/1 x/2 y/1|{A}")]);
        assert_eq!(shown(deep(), level(2)).len(), 3);
    }

    #[test]
    fn columns_by_place_must_be_the_same() {
        let csv = |path: &str, columns| leaf(path, "csv", columns);
        assert_eq!(
            shown(
                vec![csv("1", "a:int b:int"), csv("2", "a:int b:int c:int")],
                Grouping { combine: true, level: None }
            ),
            ["|||a:int b:int c:int"]
        );
        assert_eq!(
            shown(vec![csv("1", "a:int b:int"), csv("2", "b:int a:int")], Grouping { combine: true, level: None })
                .len(),
            2
        );
        let (mut alone, named) = (found("csv", "col0:string col1:string"), found("csv", "a:int b:int"));
        let Layout::Csv(layout) = &mut alone.layout else { panic!() };
        (layout.header, layout.otherwise) =
            (false, Some(vec![Column::new("a", Shape::Null), Column::new("b", Shape::Null)]));
        alone.weak = true;
        let leaves = |path: &str| {
            vec![
                Leaf { path: format!("{path}0"), found: Some(Arc::new(alone.clone())), records: 1, bytes: 1 },
                Leaf { path: "d=1/1".into(), found: Some(Arc::new(named.clone())), records: 1, bytes: 1 },
            ]
        };
        assert_eq!(shown(leaves("d=1/"), Grouping::default()), ["|d|1|a:int b:int"]);
        assert_eq!(shown(leaves("d=2/"), Grouping::default()), ["|d|1 2|a:int b:int"]);
        assert_eq!(shown(leaves("e/"), Grouping::default()), ["|d|1|a:int b:int"]);
    }

    #[test]
    fn files_that_were_not_looked_at_count() {
        let mut leaves = vec![leaf("d=1/1", "json", A)];
        leaves.push(Leaf { path: "d=1/2".into(), found: None, records: 0, bytes: 5 });
        let (tables, deep) = plan(leaves, Grouping::default());
        assert_eq!((tables[0].objects, tables[0].bytes, deep), (2, 15, 0));
        let far = format!("{}f", "d/".repeat(MAX_FOLDERS_DEEP + 1));
        let (tables, deep) = plan(vec![leaf(&far, "json", A)], Grouping::default());
        assert_eq!((tables.len(), deep), (0, 1));
    }

    proptest! {
        /// Each file is in one table at most, and each partition's folder is below its table's, as deep as there are keys.
        #[test]
        fn partitions_lie_below_their_tables(paths in proptest::collection::btree_set("([ab]=[12]/|[xy1]/){0,3}[fg]", 1..12), kinds in proptest::collection::vec(0usize..3, 12), combine: bool) {
            let schemas = [("json", A), ("json", B), ("csv", A)];
            let leaves: Vec<Leaf> = paths.iter().zip(&kinds).map(|(path, kind)| leaf(path, schemas[*kind].0, schemas[*kind].1)).collect();
            let count = leaves.len() as u64;
            let (tables, _) = plan(leaves, Grouping { combine, level: None });
            prop_assert_eq!(tables.iter().map(|table| table.objects).sum::<u64>(), count);
            for table in tables {
                prop_assert_eq!(table.keys.is_empty(), table.parts.is_empty());
                for part in &table.parts {
                    let below = part.folder.strip_prefix(&table.folder);
                    prop_assert_eq!(below.map(|below| below.matches('/').count()), Some(table.keys.len()));
                    prop_assert_eq!(part.values.len(), table.keys.len());
                }
            }
        }
    }
}
