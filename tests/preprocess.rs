//! Text to binary datasets: the reference's numbers, whatever was asked for and whenever it was stopped.

use dlrm::data::binary::{Keys, RowFile};
use dlrm::data::criteo::{BadRows, Dataset, SPARSE_FEATURES};
use dlrm::data::preprocess::{Numbering, Options, Summary, preprocess};
use dlrm::data::schema::Transform;
use dlrm::data::teacher::{Teacher, TeacherConfig};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a file of generated rows: several groups of chunks.
struct Folder {
    folder: TempDir,
    input: PathBuf,
}

fn generated(rows: u64) -> Vec<u8> {
    Teacher::new(7, TeacherConfig::small()).blocks(rows, |block| block.text).flatten().collect()
}

impl Folder {
    fn new(text: &[u8]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("rows.tsv");
        fs::write(&input, text).unwrap();
        Folder { folder, input }
    }

    fn options(&self, output: &str) -> Options {
        Options::new(vec![self.input.clone()], self.folder.path().join(output))
    }

    /// Names of all files.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn run(options: &Options) -> Summary {
    preprocess(options, &mut |_| ()).unwrap()
}

fn message(options: &Options) -> String {
    preprocess(options, &mut |_| ()).unwrap_err().to_string()
}

/// Whether the file holds what [`Dataset`] makes of the same rows.
fn assert_same(file: &RowFile, dataset: &Dataset) {
    assert_eq!(file.rows(), dataset.rows() as u64);
    assert_eq!(file.header().num_embeddings, dataset.num_embeddings().map(|n| n as u64));
    assert_eq!(file.header().shared_row, dataset.vocabulary().shared_row());
    for i in 0..dataset.rows() {
        let row = file.row(i as u64);
        assert_eq!(f32::from_bits(row[0]), f32::from(dataset.labels()[i]), "label of row {i}");
        let ints: Vec<i32> = row[1..14].iter().map(|&word| (word as i32).max(0)).collect();
        assert_eq!(ints, dataset.ints()[i], "row {i}");
        assert_eq!(row[14..], dataset.ids()[i], "row {i}");
    }
    for c in 0..SPARSE_FEATURES {
        assert_eq!(file.keys(c).unwrap(), Keys::Numbers(dataset.vocabulary().hashes(c)), "column {c}");
    }
    file.verify().unwrap();
}

#[test]
fn numbers_are_those_of_the_dataset_in_memory() {
    let folder = Folder::new(&generated(120_000));
    for min_count in [1, 3] {
        let mut options = folder.options("out.rows");
        options.numbering = Numbering::Vocabulary { max_ind_range: 0, min_count };
        let summary = run(&options);
        assert_eq!(summary, Summary { rows: 120_000, resumed: 0, skipped: 0, spilled: 0 });
        let dataset = Dataset::read(&[&folder.input], min_count, BadRows::Stop).unwrap();
        assert_same(&RowFile::open(&options.output).unwrap(), &dataset);
        assert_eq!(folder.names(), ["out.rows", "rows.tsv"]);
    }
}

#[test]
fn the_fixture_of_the_reference() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden/criteo_fixture");
    let text = fs::read_dir(&fixture).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
        path.extension().is_some_and(|e| e == "tsv" || e == "txt") && fs::read(path).unwrap().contains(&b'\t')
    });
    let folder = Folder::new(&fs::read(text.expect("the fixture's rows")).unwrap());
    let options = folder.options("out.rows");
    run(&options);
    let file = RowFile::open(&options.output).unwrap();
    assert_eq!(file.header().days, [11, 11, 11, 10, 10, 10, 10]);
    assert_eq!(file.header().num_embeddings, [8; SPARSE_FEATURES]);
    let expected = [0, 1_761_418_852, -2_147_483_648, -559_038_737, 2_147_483_647, 1, -1, -74_227_402];
    assert_eq!(file.keys(0).unwrap(), Keys::Numbers(expected.map(|id: i64| id as u32).to_vec()));
    let ints = |i: u64| file.row(i)[1..14].iter().map(|&word| (word as i32).max(0)).collect::<Vec<_>>();
    assert_eq!(ints(0), [0, 17, 17, 0, 0, 0, 5, 0, 1, 0, 0, 0, 0]);
    assert_eq!(ints(1), [0, 0, 300, 300, 300, 65535, 1, 65535, 0, 300, 300, 0, 0]);
    assert_same(&file, &Dataset::read(&[&folder.input], 1, BadRows::Stop).unwrap());
}

#[test]
fn the_bytes_do_not_depend_on_threads_compression_or_memory() {
    let text = generated(100_000);
    let folder = Folder::new(&text);
    let expected = {
        let options = folder.options("plain.rows");
        run(&options);
        fs::read(&options.output).unwrap()
    };
    let rows_of = |bytes: &[u8]| bytes[64..64 + 160 * 100_000].to_vec();
    for threads in [1, 3] {
        let options = folder.options("threads.rows");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&options));
        assert!(fs::read(&options.output).unwrap() == expected, "{threads} threads");
    }
    for limit in [0, 20_000, 60_000] {
        for min_count in [1, 2] {
            let mut options = folder.options("limit.rows");
            options.numbering = Numbering::Vocabulary { max_ind_range: 0, min_count };
            run(&options);
            let expected = fs::read(&options.output).unwrap();
            options.memory_limit = Some(limit);
            assert!(run(&options).spilled > 0, "limit {limit}");
            assert!(fs::read(&options.output).unwrap() == expected, "limit {limit}, min_count {min_count}");
        }
    }
    let compressed = folder.folder.path().join("rows.gz");
    let mut gz = Vec::new();
    // Two members, cut within a line.
    for part in text.chunks(text.len() / 2 + 7) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        gz.extend(encoder.finish().unwrap());
    }
    fs::write(&compressed, &gz).unwrap();
    let mut options = folder.options("gz.rows");
    options.inputs = vec![compressed.clone()];
    run(&options);
    assert!(rows_of(&fs::read(&options.output).unwrap()) == rows_of(&expected), "gz");
    fs::write(&compressed, &gz[..gz.len() - 100]).unwrap();
    assert!(message(&options).contains("rows.gz: the compressed data are cut short or corrupt after"));
}

#[test]
fn days_are_files_or_parts_of_one() {
    let folder = Folder::new(&generated(1000));
    let text = fs::read(&folder.input).unwrap();
    let cut = text.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(299).unwrap().0 + 1;
    let paths = ["day_0", "day_1"].map(|name| folder.folder.path().join(name));
    fs::write(&paths[0], &text[..cut]).unwrap();
    // The last line may lack its newline.
    fs::write(&paths[1], &text[cut..text.len() - 1]).unwrap();
    let one = folder.options("one.rows");
    run(&one);
    let mut two = folder.options("two.rows");
    two.inputs = paths.to_vec();
    run(&two);
    let [one, two] = [one, two].map(|options| RowFile::open(options.output).unwrap());
    assert_eq!(one.header().days, [143, 143, 143, 143, 143, 143, 142]);
    assert_eq!(two.header().days, [300, 700]);
    assert!((0..1000).all(|i| one.row(i) == two.row(i)));
}

#[test]
fn ids_in_a_range_hashes_and_samples() {
    let folder = Folder::new(&generated(5000));
    let all = RowFile::open(folder_run(&folder, |_| ())).unwrap();
    let ranged = RowFile::open(folder_run(&folder, |o| {
        o.numbering = Numbering::Vocabulary { max_ind_range: 50, min_count: 1 };
    }))
    .unwrap();
    let Keys::Numbers(keys) = ranged.keys(2).unwrap() else { panic!("numbers") };
    assert!(keys.iter().all(|&id| id < 50) && ranged.header().num_embeddings[2] <= 50);
    let Keys::Numbers(ids) = all.keys(2).unwrap() else { panic!("numbers") };
    for i in 0..5000 {
        assert_eq!(keys[ranged.row(i)[16] as usize], ids[all.row(i)[16] as usize] % 50);
    }
    let hashed = RowFile::open(folder_run(&folder, |o| o.numbering = Numbering::Hash(1000))).unwrap();
    assert_eq!(hashed.header().num_embeddings, [1000; SPARSE_FEATURES]);
    assert_eq!(hashed.keys(0).unwrap(), Keys::None);
    assert!((0..5000).all(|i| hashed.row(i)[14..].iter().all(|&id| id < 1000)));

    let sample = |seed| {
        let path = folder_run(&folder, |o| (o.sub_sample_rate, o.seed) = (0.75, seed));
        let file = RowFile::open(path).unwrap();
        (0..file.rows()).map(|i| file.row(i)[..14].to_vec()).collect::<Vec<_>>()
    };
    let label = |row: &[u32]| f32::from_bits(row[0]);
    let clicks = (0..5000).filter(|&i| label(all.row(i)) == 1.0).count();
    let (first, again, other) = (sample(1), sample(1), sample(2));
    assert_eq!(first.iter().filter(|row| label(row) == 1.0).count(), clicks);
    assert!(first == again && first != other);
    let kept = (first.len() - clicks) as f64 / (5000 - clicks) as f64;
    assert!((0.22..0.28).contains(&kept), "{kept} of the rows without a click");
}

fn folder_run(folder: &Folder, change: impl Fn(&mut Options)) -> PathBuf {
    let mut options = folder.options("out.rows");
    change(&mut options);
    run(&options);
    options.output
}

#[test]
fn torchrec_dense_features() {
    let folder = Folder::new(&generated(100));
    let path = folder_run(&folder, |o| o.transform = Transform::LogShifted);
    let file = RowFile::open(path).unwrap();
    let ints: Vec<i32> = (0..100).flat_map(|i| file.row(i)[1..14].to_vec()).map(|word| word as i32).collect();
    let min = ints.iter().copied().min().unwrap();
    assert!(min < 0, "generated rows have negative integers");
    assert_eq!(file.header().min_dense, f64::from(min));
    let mut batch = dlrm::Batch::default();
    file.fill(0..100, &mut batch).unwrap();
    let expected: Vec<f32> = ints.iter().map(|&x| (x as f32 - min as f32 + 2.0).ln()).collect();
    assert_eq!(batch.dense, expected);
}

/// Stops after so many groups, by an error in the way out of which nothing is cleaned up: as if killed.
#[test]
fn goes_on_where_it_was_stopped() {
    let folder = Folder::new(&generated(150_000));
    let options = folder.options("whole.rows");
    run(&options);
    let expected = fs::read(&options.output).unwrap();
    let options = folder.options("out.rows");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let groups = pool.install(|| {
        let mut groups = 0;
        preprocess(&folder.options("count.rows"), &mut |_| groups += 1).unwrap();
        groups
    });
    assert!(groups >= 4, "{groups} calls");
    for stop in 1..4 {
        let mut calls = 0;
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| {
                preprocess(&options, &mut |_| {
                    calls += 1;
                    assert!(calls < stop, "stopped here");
                })
            })
        }));
        assert!(stopped.is_err() && !options.output.exists());
    }
    // The words of a group whose record was lost, half a record, and words that are not as they were written.
    let beside = |what: &str| folder.folder.path().join(format!(".out.rows.{what}"));
    let mut journal = fs::read(beside("journal")).unwrap();
    journal.truncate(journal.len() - 3);
    fs::write(beside("journal"), &journal).unwrap();
    let summary = run(&options);
    assert!(summary.resumed > 0 && summary.resumed < 150_000, "{summary:?}");
    assert!(fs::read(&options.output).unwrap() == expected);
    assert!(!beside("journal").exists() && !beside("partial").exists());
}

#[test]
fn words_that_changed_are_made_again() {
    let folder = Folder::new(&generated(150_000));
    let options = folder.options("out.rows");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let stop = |options: &Options| {
        let mut calls = 0;
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| {
                preprocess(options, &mut |_| {
                    calls += 1;
                    assert!(calls < 4, "stopped here");
                })
            })
        }));
        assert!(stopped.is_err());
    };
    stop(&options);
    let partial = folder.folder.path().join(".out.rows.partial");
    let mut words = fs::read(&partial).unwrap();
    let middle = words.len() / 2;
    words[middle] ^= 1;
    fs::write(&partial, &words).unwrap();
    let first = run(&options).resumed;
    let bytes = fs::read(&options.output).unwrap();
    fs::remove_file(&options.output).unwrap();
    assert_eq!(run(&options).resumed, 0);
    assert!(first > 0 && fs::read(&options.output).unwrap() == bytes);
    // Other options: from the beginning.
    stop(&options);
    let mut other = options.clone();
    other.numbering = Numbering::Hash(10);
    assert_eq!(run(&other).resumed, 0);
}

#[test]
fn mistakes_are_one_line() {
    let folder = Folder::new(&generated(40_000));
    let mut text = fs::read(&folder.input).unwrap();
    let bad = text.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(33_332).unwrap().0 + 1;
    text[bad] = b'7';
    fs::write(&folder.input, &text).unwrap();
    let options = folder.options("out.rows");
    let path = folder.input.display();
    assert_eq!(message(&options), format!("{path}:33334:1: label \"7\", expected 0 or 1"));
    let mut skipping = options.clone();
    skipping.bad_rows = BadRows::Skip;
    assert_eq!((run(&skipping).rows, RowFile::open(&skipping.output).unwrap().header().source.skipped), (39_999, 1));

    let cases: [(&[u8], &str); 4] = [
        (b"", ": 0 rows, expected at least 7: one for each day"),
        (b"\xef\xbb\xbf0\t1\n", ":1:2: 2 fields, expected 40 separated by tabs (label, 13 integers, 26 ids)"),
        (&[b'x'; 9 << 20], ":1:1: line of more than 65536 bytes, expected a row of a few hundred"),
        (&[0; 100], ":1:1: one field, \"\\x00\\x00"),
    ];
    for (text, expected) in cases {
        fs::write(&folder.input, text).unwrap();
        let message = message(&options);
        assert!(message.starts_with(&format!("{path}{expected}")), "{message}");
    }
    // What is behind an overlong line is read.
    let mut long = vec![b'x'; 9 << 20];
    long.push(b'\n');
    long.extend(generated(10));
    fs::write(&folder.input, long).unwrap();
    assert_eq!(run(&skipping), Summary { rows: 10, resumed: 0, skipped: 1, spilled: 0 });
}

#[test]
fn one_process_at_a_time() {
    let folder = Folder::new(&generated(1000));
    let options = folder.options("out.rows");
    let (mut tried, mut second) = (0, String::new());
    preprocess(&options, &mut |_| {
        tried += 1;
        second = message(&options);
    })
    .unwrap();
    assert!(tried > 0 && second.contains("another process makes this dataset now"), "{second}");
    assert_eq!(folder.names(), ["out.rows", "rows.tsv"]);
}

#[test]
fn damaged_files_are_refused() {
    let folder = Folder::new(&generated(1000));
    let options = folder.options("out.rows");
    run(&options);
    let good = fs::read(&options.output).unwrap();
    let path = options.output.display();
    let open = |bytes: &[u8]| {
        fs::write(&options.output, bytes).unwrap();
        RowFile::open(&options.output).and_then(|file| file.verify()).unwrap_err().to_string()
    };
    assert_eq!(open(b"DLRMROWS"), format!("{path}: no binary dataset: 8 bytes, expected 64 or more"));
    assert_eq!(open(&[0; 200]), format!("{path}: not a binary dataset, expected it to begin with DLRMROWS"));
    let mut newer = good.clone();
    newer[8] = 2;
    assert_eq!(open(&newer), format!("{path}: a binary dataset of version 2, expected 1"));
    assert!(open(&good[..good.len() - 1]).contains("a damaged binary dataset"));
    assert!(open(&good[..70]).contains("a damaged binary dataset"));
    // Any bit, anywhere.
    for at in (12..good.len()).step_by(997) {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        let message = open(&flipped);
        assert!(message.starts_with(&path.to_string()) && message.contains("damaged"), "byte {at}: {message}");
    }
}
