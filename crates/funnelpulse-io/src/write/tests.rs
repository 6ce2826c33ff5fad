use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, UInt64Array};
use tempfile::TempDir;

use super::{
    swap::{Moment, replace_until},
    *,
};
use crate::{Table, write_partitioned, write_results};

fn batch(value: f64) -> RecordBatch {
    let date: ArrayRef = Arc::new(Date32Array::from(vec![Some(18_170), Some(18_171), None, Some(18_170)]));
    let brand: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let score: ArrayRef = Arc::new(Float64Array::from(vec![Some(value), None, Some(2.0), Some(3.0)]));
    RecordBatch::try_from_iter_with_nullable([
        ("window_date", date, true),
        ("brand", brand, true),
        ("score", score, true),
    ])
    .unwrap()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    (folder, path)
}

/// The value that tells one table from another.
fn first_score(path: &Path) -> f64 {
    Table::read(path).unwrap().f64_column("score").unwrap()[0]
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn reads_back_what_was_written() {
    let (_folder, path) = place();
    let report = write_partitioned(&path, &batch(1.0), "window_date").unwrap();
    let partitions = ["window_date=2019-10-01", "window_date=2019-10-02", "window_date=__HIVE_DEFAULT_PARTITION__"];
    assert_eq!((report.rows, report.replaced), (4, false));
    assert_eq!(report.partitions, partitions);
    let mut expected = vec!["_FUNNELPULSE"];
    expected.extend(partitions);
    assert_eq!(names(&path), expected);
    let part = Table::read(&path.join(partitions[0]).join("part-0.parquet")).unwrap();
    assert_eq!(part.columns(), ["brand", "score"], "the partition column is in the folder's name only");

    let table = Table::read(&path).unwrap();
    assert_eq!(table.columns(), ["window_date", "brand", "score"]);
    let rows = arrow::compute::concat_batches(table.batches()[0].schema_ref(), table.batches()).unwrap();
    let expected = arrow::compute::take_record_batch(&batch(1.0), &UInt64Array::from(vec![0, 3, 1, 2])).unwrap();
    assert_eq!(rows, expected);

    let gone = batch(1.0).slice(0, 0);
    assert!(write_partitioned(&path, &gone, "window_date").unwrap().replaced);
    let empty = Table::read(&path).unwrap();
    assert_eq!((empty.num_rows(), empty.columns().len()), (0, 3));
    let error = write_partitioned(&path, &gone, "day").unwrap_err().to_string();
    assert!(error.contains("column `day` is missing (found: window_date, brand, score)"), "{error}");
}

#[test]
fn a_table_is_replaced_and_nothing_is_left_over() {
    let (folder, path) = place();
    for value in [1.0, 2.0, 3.0] {
        write_partitioned(&path, &batch(value), "window_date").unwrap();
        assert_eq!(first_score(&path), value);
        assert_eq!(names(folder.path()), ["out"]);
    }
}

/// Kills a replacement at every moment, with and without the exchange in one step, twice over.
#[test]
fn a_killed_run_leaves_the_previous_table_or_the_new_one() {
    for exchange in [true, false] {
        for moment in [Moment::Staged, Moment::Between, Moment::Swapped] {
            let (folder, path) = place();
            write_partitioned(&path, &batch(1.0), "window_date").unwrap();
            let fill = |staging: &Path| {
                let part = staging.join("window_date=2020-01-01");
                fs::create_dir(&part).unwrap();
                write_parquet_file(part.join("part-0.parquet"), &batch(2.0))
            };
            let kill = |now: Moment| {
                let killed = || IoError::File { path: path.clone(), source: std::io::Error::other("killed") };
                if now == moment { Err(killed()) } else { Ok(()) }
            };
            for _ in 0..2 {
                let result = replace_until(&path, &[], fill, exchange, kill);
                let expected = match (result.is_err(), moment) {
                    // There is no moment in between when the exchange is one step.
                    (false, Moment::Between) if exchange => 2.0,
                    (true, Moment::Swapped) => 2.0,
                    (true, _) => 1.0,
                    other => panic!("{other:?} with exchange = {exchange}"),
                };
                assert_eq!(first_score(&path), expected, "{moment:?}, exchange = {exchange}");
            }
            recover(&path).unwrap();
            assert_eq!(names(folder.path()), ["out"], "{moment:?}, exchange = {exchange}");
            assert!(!recover(&path).unwrap());
            write_partitioned(&path, &batch(3.0), "window_date").unwrap();
            assert_eq!((first_score(&path), names(folder.path())), (3.0, vec!["out".to_owned()]));
        }
    }
}

#[test]
fn a_half_written_table_is_removed_by_the_next_run() {
    let (folder, path) = place();
    let staging = folder.path().join(".out.funnelpulse-staging");
    fs::create_dir_all(staging.join("window_date=2020-01-01")).unwrap();
    fs::write(staging.join("_FUNNELPULSE"), "").unwrap();
    fs::write(staging.join("window_date=2020-01-01/part-0.parquet"), "PAR1 half a").unwrap();
    assert!(Table::read(&path).is_err(), "a half written table is never read");
    write_partitioned(&path, &batch(1.0), "window_date").unwrap();
    assert_eq!(names(folder.path()), ["out"]);
}

/// As a kill in the middle of the removal of the previous table leaves it.
#[test]
fn a_half_removed_table_is_removed_by_the_next_run() {
    for stage in ["staging", "previous"] {
        let (folder, path) = place();
        write_partitioned(&path, &batch(1.0), "window_date").unwrap();
        let leftover = folder.path().join(format!(".out.funnelpulse-{stage}"));
        write_partitioned(&leftover, &batch(2.0), "window_date").unwrap();
        fs::remove_file(leftover.join("window_date=2019-10-01/part-0.parquet")).unwrap();
        fs::remove_dir_all(leftover.join("window_date=2019-10-02")).unwrap();
        assert!(recover(&path).unwrap());
        assert_eq!((first_score(&path), names(folder.path())), (1.0, vec!["out".to_owned()]));
    }
}

#[test]
fn a_failed_write_leaves_everything_as_it_was() {
    let (folder, path) = place();
    write_partitioned(&path, &batch(1.0), "window_date").unwrap();
    let fail = |_: &Path| Err(IoError::Empty { path: path.clone(), what: "nothing to write" });
    assert!(replace_until(&path, &[], fail, true, |_| Ok(())).is_err());
    assert_eq!((first_score(&path), names(folder.path())), (1.0, vec!["out".to_owned()]));
}

#[test]
fn somebody_elses_files_are_never_deleted() {
    let refused = |path: &Path| {
        let error = write_partitioned(path, &batch(9.0), "window_date").unwrap_err();
        assert!(matches!(error, IoError::ForeignFiles { .. }), "{error}");
        error.to_string()
    };
    let (folder, path) = place();
    // A data set that looks like ours, but is not: for example the input of the run.
    fs::create_dir_all(path.join("window_date=2019-10-01")).unwrap();
    write_file(&path.join("window_date=2019-10-01/part-0.parquet"), &batch(1.0)).unwrap();
    assert!(refused(&path).contains("holds `window_date=2019-10-01` but no file `_FUNNELPULSE`"));
    fs::remove_dir_all(&path).unwrap();

    write_partitioned(&path, &batch(1.0), "window_date").unwrap();
    for foreign in ["thesis.txt", "window_date=2019-10-01/notes.md", "window_date=2019-10-01/sub/x", "sub/x"] {
        let file = path.join(foreign);
        let parent = file.parent().unwrap();
        let made = !parent.exists();
        fs::create_dir_all(parent).unwrap();
        fs::write(&file, "precious").unwrap();
        refused(&path);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        fs::remove_file(&file).unwrap();
        if made {
            fs::remove_dir(parent).unwrap();
        }
    }
    assert_eq!(first_score(&path), 1.0);
    assert_eq!(names(folder.path()), ["out"]);

    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(refused(&file).contains("a file where the folder should be"));
    assert!(refused(folder.path()).contains("no file `_FUNNELPULSE`"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_table_stays_a_link() {
    let (folder, path) = place();
    write_partitioned(&path, &batch(1.0), "window_date").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("out", &link).unwrap();
    write_partitioned(&link, &batch(2.0), "window_date").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(first_score(&path), 2.0);
    // A link within a table is not followed when it is removed, the table is refused.
    std::os::unix::fs::symlink(folder.path(), path.join("window_date=x")).unwrap();
    assert!(write_partitioned(&path, &batch(3.0), "window_date").is_err());
    // Links that lead in circles come to an end.
    assert!(Table::read(&path).is_err());
}

#[test]
fn two_writers_take_turns() {
    let (folder, path) = place();
    std::thread::scope(|scope| {
        for value in [1.0, 2.0, 3.0, 4.0] {
            let path = &path;
            scope.spawn(move || write_partitioned(path, &batch(value), "window_date").unwrap());
        }
    });
    assert!([1.0, 2.0, 3.0, 4.0].contains(&first_score(&path)));
    assert_eq!(names(folder.path()), ["out"]);
}

#[test]
fn files_are_replaced_whole() {
    let (folder, _) = place();
    for name in ["x.csv", "x.parquet"] {
        let path = folder.path().join(name);
        for value in [1.0, 2.5] {
            write_file(&path, &batch(value)).unwrap();
            let table = Table::read(&path).unwrap();
            assert_eq!(table.string_column("brand").unwrap()[3].as_deref(), Some("d"));
            assert_eq!(table.numeric_columns(), ["score"], "{name}");
            assert_eq!(first_score(&path), value);
        }
    }
    let error = write_file(&folder.path().join("x.txt"), &batch(1.0)).unwrap_err().to_string();
    assert!(error.contains("the name should end in .csv or .parquet"), "{error}");
    assert_eq!(names(folder.path()), ["x.csv", "x.parquet"]);
}

#[test]
fn folders_of_many_kinds() {
    let (folder, path) = place();
    fs::create_dir_all(path.join("shop=007/day=1")).unwrap();
    fs::create_dir_all(path.join("shop=8/day=02")).unwrap();
    fs::write(path.join("shop=007/day=1/b.csv"), "score\n1\n2\n").unwrap();
    write_file(&path.join("shop=8/day=02/a.parquet"), &batch(5.0).project(&[2]).unwrap()).unwrap();
    for skipped in [".hidden.csv", "_SUCCESS", "readme.txt"] {
        fs::write(path.join(skipped), "x").unwrap();
    }
    let table = Table::read(&path).unwrap();
    assert_eq!(table.columns(), ["shop", "day", "score"]);
    assert_eq!(table.num_rows(), 6);
    assert_eq!(table.string_column("shop").unwrap()[0].as_deref(), Some("007"), "leading zeros are text");
    assert_eq!(table.f64_column("score").unwrap()[..3], [1.0, 2.0, 5.0]);

    fs::write(path.join("shop=007/day=1/c.csv"), "other\n1\n").unwrap();
    let error = Table::read(&path).unwrap_err().to_string();
    assert!(error.contains("c.csv: columns (shop, day, other) differ from those of"), "{error}");
    fs::rename(path.join("shop=007/day=1/c.csv"), path.join("c.csv")).unwrap();
    assert!(Table::read(&path).unwrap_err().to_string().contains("not partitioned by the same columns"));
    fs::create_dir(folder.path().join("plain")).unwrap();
    assert!(Table::read(folder.path()).unwrap_err().to_string().contains("should be named column=value"));
    assert!(Table::read(&folder.path().join("plain")).unwrap_err().to_string().contains("no CSV or Parquet"));
}

/// The texts beside a table, or `None` where they are not there.
fn beside(folder: &Path, name: &str) -> Option<String> {
    fs::read_to_string(folder.join(name)).ok()
}

#[test]
fn a_run_commits_all_its_outputs_together() {
    for exchange in [true, false] {
        for moment in [Moment::Staged, Moment::Between, Moment::Swapped] {
            let (folder, path) = place();
            let texts = |run: &'static str| {
                ["summary.json", "incidents.jsonl"].map(|name| Companion::new(name, run.as_bytes()))
            };
            write_results(&path, &batch(1.0), "window_date", &texts("first")).unwrap();
            let fill = |staging: &Path| {
                let part = staging.join("window_date=2020-01-01");
                fs::create_dir(&part).unwrap();
                write_parquet_file(part.join("part-0.parquet"), &batch(2.0))
            };
            let kill = |now: Moment| {
                let killed = || IoError::File { path: path.clone(), source: std::io::Error::other("killed") };
                if now == moment { Err(killed()) } else { Ok(()) }
            };
            let done = replace_until(&path, &texts("second"), fill, exchange, kill).is_ok();
            // Between two renames the table is aside; whoever comes next puts it back.
            if !exchange && moment == Moment::Between {
                recover(&path).unwrap();
            }
            let run = if done || moment == Moment::Swapped { "second" } else { "first" };
            let score = if run == "first" { 1.0 } else { 2.0 };
            let place = format!("{moment:?}, exchange = {exchange}");
            assert_eq!(first_score(&path), score, "{place}");
            for name in ["summary.json", "incidents.jsonl"] {
                assert_eq!(beside(folder.path(), name).as_deref(), Some(run), "{place}");
            }
            write_results(&path, &batch(3.0), "window_date", &texts("third")).unwrap();
            assert_eq!(names(folder.path()), ["incidents.jsonl", "out", "summary.json"], "{place}");
            assert_eq!((first_score(&path), beside(folder.path(), "summary.json").as_deref()), (3.0, Some("third")));
        }
    }
}

#[test]
fn companions_of_another_time() {
    let (folder, path) = place();
    // Files that an earlier version wrote, and one that a run writes no more.
    fs::write(folder.path().join("summary.json"), "old").unwrap();
    let file = Companion::new;
    let both = [file("summary.json", &b"new"[..]), file("hourly.parquet", &b"PAR1"[..])];
    write_results(&path, &batch(1.0), "window_date", &both).unwrap();
    assert_eq!(beside(folder.path(), "summary.json").as_deref(), Some("new"));
    assert_eq!(Table::read(&path).unwrap().num_rows(), 4, "readers of the table skip them");
    write_results(&path, &batch(2.0), "window_date", &both[..1]).unwrap();
    assert_eq!(names(folder.path()), ["out", "summary.json"]);
    // The whole folder can be moved.
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    for name in ["out", "summary.json"] {
        fs::rename(folder.path().join(name), moved.join(name)).unwrap();
    }
    assert_eq!(beside(&moved, "summary.json").as_deref(), Some("new"));
    // Names that would be something else are refused, as are files of others in the table.
    for name in ["", ".x", "_x", "a/b", "out"] {
        let error = write_results(&path, &batch(1.0), "window_date", &[file(name, b"")]).unwrap_err();
        assert!(matches!(error, IoError::Setting { .. }), "{name}: {error}");
    }
    fs::create_dir(folder.path().join("taken")).unwrap();
    assert!(write_results(&path, &batch(1.0), "window_date", &[file("taken", b"")]).is_err());
    fs::write(moved.join("out/_notes.txt"), "precious").unwrap();
    assert!(write_results(&moved.join("out"), &batch(1.0), "window_date", &[]).is_err());
}

#[test]
fn a_kept_file_outlives_its_table_and_is_replaced_with_it() {
    for exchange in [true, false] {
        for moment in [Moment::Staged, Moment::Swapped] {
            let (folder, path) = place();
            let fill = |staging: &Path| write_parquet_file(staging.join("part-0.parquet"), &batch(2.0));
            let kill = |now: Moment| {
                let killed = || IoError::File { path: path.clone(), source: std::io::Error::other("killed") };
                if now == moment { Err(killed()) } else { Ok(()) }
            };
            write_results(&path, &batch(1.0), "window_date", &[Companion::kept("monday.html", b"1")]).unwrap();
            // The same name again is exchanged in the moment of the table.
            let _ = replace_until(&path, &[Companion::kept("monday.html", b"2")], fill, exchange, kill);
            let score = first_score(&path);
            let expected = if score == 1.0 { "1" } else { "2" };
            assert_eq!(beside(folder.path(), "monday.html").as_deref(), Some(expected), "{moment:?}, {exchange}");
            // Another name leaves it as it is, also when that run is killed.
            let _ = replace_until(&path, &[Companion::kept("tuesday.html", b"3")], fill, exchange, kill);
            write_results(&path, &batch(3.0), "window_date", &[]).unwrap();
            assert_eq!(beside(folder.path(), "monday.html").as_deref(), Some(expected), "{moment:?}, {exchange}");
            let tuesday = (moment == Moment::Swapped).then_some("3");
            assert_eq!(beside(folder.path(), "tuesday.html").as_deref(), tuesday, "{moment:?}, {exchange}");
        }
    }
}

#[test]
fn a_staged_file_appears_when_it_is_committed() {
    let (folder, _) = place();
    let path = folder.path().join("x.html");
    write_bytes(&path, b"old").unwrap();
    drop(StagedFile::write(&path, b"lost").unwrap());
    assert_eq!(
        (names(folder.path()), beside(folder.path(), "x.html").as_deref()),
        (vec!["x.html".into()], Some("old"))
    );
    let staged = StagedFile::write(&path, b"new").unwrap();
    assert_eq!(beside(folder.path(), "x.html").as_deref(), Some("old"));
    staged.commit().unwrap();
    assert_eq!(
        (names(folder.path()), beside(folder.path(), "x.html").as_deref()),
        (vec!["x.html".into()], Some("new"))
    );
}

#[test]
fn leftovers_of_killed_writers_are_removed_and_files_in_use_are_not() {
    let (folder, _) = place();
    let (dead, busy, young, theirs) = (
        folder.path().join(".funnelpulse-dead.tmp"),
        folder.path().join(".funnelpulse-busy.tmp"),
        folder.path().join(".funnelpulse-young.tmp"),
        folder.path().join("other.tmp"),
    );
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let mut held = Vec::new();
    for path in [&dead, &busy, &young, &theirs] {
        let file = File::create(path).unwrap();
        if path != &young {
            file.set_modified(long_ago).unwrap();
        }
        if path == &busy {
            stale::hold(&file);
            held.push(file);
        }
    }
    write_bytes(&folder.path().join("x.txt"), b"x").unwrap();
    let mut expected = vec![".funnelpulse-young.tmp", "other.tmp", "x.txt"];
    if cfg!(unix) {
        expected.insert(0, ".funnelpulse-busy.tmp");
    }
    assert_eq!(names(folder.path()), expected);
}
