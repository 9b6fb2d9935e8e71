//! The same of a directory that ranks have together.

use super::super::super::tensor::Block;
use super::super::super::{About, Snapshot};
use super::*;
use crate::backend::Cpu;
use crate::comm::{Communicator, threads};

/// A way to cut a tensor of 400 rows and 500 columns, in which the rank has those it is said to have.
type Cut = fn(&Communicator) -> Vec<Block>;

const ROWS: Cut = |comm| vec![Block { rows: comm.share(400, comm.rank()), columns: 0..500 }];
const COLUMNS: Cut = |comm| vec![Block { rows: 0..400, columns: comm.share(500, comm.rank()) }];
/// All that there is on the last rank, in a grid.
const LAST: Cut = |comm| match comm.rank() + 1 == comm.size() {
    true => [(0..300, 0..9), (0..300, 9..500), (300..400, 0..499), (300..400, 499..500)]
        .map(|(rows, columns)| Block { rows, columns })
        .to_vec(),
    false => Vec::new(),
};

/// What a rank has of a checkpoint of two cut tensors and one that all have; with no cut all of it.
fn copy(step: u64, cuts: Option<[Cut; 2]>, comm: &Communicator) -> Snapshot {
    let number = |row: usize, column: usize| (step as usize + 500 * row + column) as f32;
    let block = |b: &Block| -> Vec<f32> {
        b.rows.clone().flat_map(|row| b.columns.clone().map(move |column| number(row, column))).collect()
    };
    let whole = Block { rows: 0..400, columns: 0..500 };
    let blocks = |i: usize| cuts.map_or(vec![whole.clone()], |cuts| cuts[i](comm));
    let parts = [blocks(0), blocks(1)].map(|blocks| blocks.into_iter().map(|b| (b.clone(), block(&b))).collect());
    let [first, second]: [Vec<(Block, Vec<f32>)>; 2] = parts;
    let cut = |name: &str, parts| NamedTensor { name: name.into(), shape: vec![400, 500], replicated: false, parts };
    let everywhere = NamedTensor::whole("everywhere", vec![3], vec![step as f32, 1.0, 2.0]);
    let tensors = [cut("first", first), everywhere, cut("second", second)];
    let mut snapshot = Snapshot::default();
    // What else there is to say is rank 0's.
    let run = if comm.rank() == 0 { format!("of step {step}") } else { "of another rank".into() };
    snapshot.describe(&About::new(&(), None), step, &run);
    let tensors: Vec<_> = tensors.iter().map(|tensor| tensor.map(|values: &Vec<f32>| &values[..])).collect();
    snapshot.copy(&Cpu::new(1), &tensors);
    snapshot
}

/// Runs `f` on each of so many ranks, and returns what each made.
fn on_ranks<T: Send>(ranks: usize, f: impl Fn(Arc<Communicator>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = |transport| scope.spawn(|| f(Arc::new(Communicator::new(transport))));
        let all: Vec<_> = threads(ranks).into_iter().map(run).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn save_on(dir: &CheckpointDir, step: u64, cuts: [Cut; 2]) -> Result<()> {
    let comm = dir.comm().unwrap();
    let snapshot = copy(step, Some(cuts), comm);
    dir.begin(comm, step, &snapshot)?.finish(comm, &snapshot.tensors())
}

#[test]
fn ranks_write_the_bytes_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("run");
    let alone = CheckpointDir::open(folder.path(), KEEP).unwrap();
    on_ranks(1, |comm| alone.save(7, &copy(7, None, &comm)).unwrap());
    let expected = fs::read(alone.file(7)).unwrap();
    for ranks in 1..=5 {
        for cuts in [[ROWS, COLUMNS], [COLUMNS, LAST], [LAST, ROWS]] {
            let newest = on_ranks(ranks, |comm| {
                let dir = CheckpointDir::open_on_ranks(&path, KEEP, comm).unwrap();
                save_on(&dir, 7, cuts).unwrap();
                dir.newest(|e| panic!("{e}")).unwrap().unwrap().step().unwrap()
            });
            assert_eq!(newest, vec![7; ranks]);
            assert!(fs::read(path.join(alone.file(7).file_name().unwrap())).unwrap() == expected, "{ranks}");
        }
    }
}

#[test]
fn what_fails_on_one_rank_fails_on_all_and_leaves_nothing_half() {
    let mut failed = 0;
    for (bad, fault) in [(0, Fault::Once), (1, Fault::Once), (2, Fault::Half), (0, Fault::Half)] {
        for at in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            let files = Faulty::new(at, fault);
            let results = on_ranks(3, |comm| {
                let mut dir = CheckpointDir::open_on_ranks(path, KEEP, comm.clone()).unwrap();
                save_on(&dir, 4, [ROWS, COLUMNS]).unwrap();
                if comm.rank() == bad {
                    dir.files = Arc::new(Shared(files.clone()));
                }
                save_on(&dir, 5, [ROWS, ROWS]).map_err(|e| e.to_string())
            });
            assert!(results.iter().all(|other| *other == results[0]), "{results:?}");
            let dir = CheckpointDir::open(path, KEEP).unwrap();
            let left = Disk.list(path).unwrap().into_iter().filter(|name| name.ends_with(PART)).count();
            let newest = dir.newest(|e| panic!("{e}")).unwrap().unwrap().step().unwrap();
            match &results[0] {
                Ok(()) => assert_eq!((newest, left), (5, 0)),
                Err(message) => {
                    assert!(message.starts_with(&format!("rank {bad}: ")), "{message}");
                    assert!(message.contains("no storage space"), "{message}");
                    assert!((4..=5).contains(&newest) && left == 0);
                    failed += 1;
                }
            }
            if files.calls.load(Ordering::Relaxed) < at {
                break;
            }
        }
    }
    assert!(failed >= 20, "{failed} failures");
}

#[test]
fn ranks_that_do_not_see_one_directory_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let say = |own: &(dyn Fn(usize) -> PathBuf + Sync)| {
        let said =
            on_ranks(3, |comm| CheckpointDir::open_on_ranks(own(comm.rank()), KEEP, comm).unwrap_err().to_string());
        assert!(said.iter().all(|other| *other == said[0]), "{said:?}");
        said[0].clone()
    };
    let message = say(&|rank| folder.path().join(["a", "a", "b"][rank]));
    assert!(message.starts_with("rank 2: ") && message.contains("expected a file system that all ranks see"));
    fs::create_dir(folder.path().join("b")).unwrap();
    let message = say(&|rank| folder.path().join(["b", "c", "b"][rank]));
    assert!(message.starts_with("rank 1: ") && message.contains("expected a file system that all ranks see"));
    fs::write(folder.path().join("file"), "").unwrap();
    let message = say(&|_| folder.path().join("file"));
    assert!(message.starts_with("rank 0: ") && message.contains("not a directory"), "{message}");
    let names = Disk.list(folder.path()).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
}
