//! Files that several ranks write and read together.

use super::{Case, Share, case, config, placement, train};
use dlrm::backend::{Cpu, Pooling};
use dlrm::checkpoint::{self, Checkpoint};
use dlrm::comm::{Communicator, threads};
use dlrm::nn::{Dlrm, Model};
use dlrm::optim::UpdateRule;
use dlrm::{Parameters, Result, Stream};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Runs `f` on each of so many ranks, and returns what each made.
pub fn on_ranks<T: Send>(ranks: usize, f: impl Fn(Arc<Communicator>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = |transport| scope.spawn(|| f(Arc::new(Communicator::new(transport))));
        let all: Vec<_> = threads(ranks).into_iter().map(run).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn read(path: &Path) -> Result<(Dlrm, Parameters)> {
    let make = |params: &mut Parameters, stream: &mut Stream| Dlrm::new(&config(Pooling::Sum), params, stream);
    Checkpoint::open(path)?.read(Arc::new(Cpu::new(1)), make)
}

fn read_on(path: &Path, share: Share, comm: &Arc<Communicator>) -> Result<(Dlrm, Parameters)> {
    let make = |params: &mut Parameters, stream: &mut Stream| {
        let placement = placement(share, comm.size());
        Dlrm::sharded(&config(Pooling::Sum), placement, comm.clone(), params, stream)
    };
    Checkpoint::open_on_ranks(path, comm)?.read(Arc::new(Cpu::new(1)), make)
}

fn save_on(path: &Path, (model, params): &(Dlrm, Parameters)) -> Result<()> {
    checkpoint::save_sharded(path, params, model.shards().unwrap(), &config(Pooling::Sum), Some(5))
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const SHARES: [Share; 5] = [Share::Planned, Share::Last, Share::Cut, Share::Everywhere, Share::SmallEverywhere];

#[test]
fn ranks_write_the_bytes_that_one_writes_and_read_those_of_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let [one, many, again] = ["one", "many", "again"].map(|name| folder.path().join(name));
    // Trained, so that no number is that of the seed.
    let (params, _) = train(Case { rule: UpdateRule::ADAGRAD, ..case(20) }, None);
    checkpoint::save(&one, &params, &config(Pooling::Sum), Some(5)).unwrap();
    let expected = fs::read(&one).unwrap();
    for ranks in 1..=4 {
        for share in SHARES {
            on_ranks(ranks, |comm| save_on(&many, &read_on(&one, share, &comm).unwrap()).unwrap());
            assert!(fs::read(&many).unwrap() == expected, "{share:?} on {ranks}");
            for (readers, their) in [(1, Share::Planned), (2, Share::Cut), (3, Share::Last)] {
                on_ranks(readers, |comm| save_on(&again, &read_on(&many, their, &comm).unwrap()).unwrap());
                assert!(fs::read(&again).unwrap() == expected, "{share:?} on {ranks}, {their:?} on {readers}");
            }
            let (_, params) = read(&many).unwrap();
            checkpoint::save(&again, &params, &config(Pooling::Sum), Some(5)).unwrap();
            assert!(fs::read(&again).unwrap() == expected, "{share:?} on {ranks}, read by one");
        }
    }
    assert_eq!(files(folder.path()).len(), 3);
}

#[test]
fn what_ranks_learned_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for share in SHARES {
        let placement = placement(share, 3);
        let trained = on_ranks(3, |comm| {
            let (params, _) = train(case(20), Some((comm.clone(), placement.clone())));
            // Which parameter is which shard is the same for any model with this placement.
            let (config, mut other) = (config(Pooling::Sum), Parameters::new(Arc::new(Cpu::new(1))));
            let model = Dlrm::sharded(&config, placement.clone(), comm, &mut other, &mut Stream::native(1)).unwrap();
            let trained = (model, params);
            save_on(&path, &trained).unwrap();
            trained.1
        });
        let (_, whole) = read(&path).unwrap();
        for (rank, params) in trained.iter().enumerate() {
            for (mine, written) in params.dense().iter().zip(whole.dense()) {
                assert_eq!(mine.value().as_slice(), written.value().as_slice(), "{share:?}, {}", mine.name());
            }
            for (mine, shard) in params.tables().iter().zip(placement.of(rank)) {
                let table = &whole.tables()[shard.table];
                let rows = shard.rows.clone().flat_map(|row| table.row(row)[shard.columns.clone()].to_vec());
                assert_eq!(mine.values(), rows.collect::<Vec<_>>(), "{share:?}, {shard:?}");
            }
        }
    }
}

#[test]
fn what_goes_wrong_on_one_rank_goes_wrong_on_all_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    checkpoint::save(&path, &train(case(20), None).0, &config(Pooling::Sum), Some(5)).unwrap();
    let good = fs::read(&path).unwrap();
    let say = |what: &(dyn Fn(&Arc<Communicator>) -> Result<()> + Sync)| {
        let said = on_ranks(3, |comm| what(&comm).unwrap_err().to_string());
        assert!(said.iter().all(|other| *other == said[0]), "{said:?}");
        said[0].clone()
    };

    // A rank that sees another folder, or another file in it.
    let elsewhere = folder.path().join("elsewhere");
    let own = |comm: &Communicator| if comm.rank() == 2 { elsewhere.join("model") } else { path.clone() };
    let message = say(&|comm| read_on(&own(comm), Share::Cut, comm).map(drop));
    assert!(message.starts_with("rank 2: ") && message.contains("elsewhere"), "{message}");
    fs::create_dir(&elsewhere).unwrap();
    checkpoint::save(&elsewhere.join("model"), &train(case(9), None).0, &config(Pooling::Sum), Some(5)).unwrap();
    let message = say(&|comm| read_on(&own(comm), Share::Cut, comm).map(drop));
    assert!(message.starts_with("rank 2: ") && message.contains("expected a file system that all ranks see"));
    let message = say(&|comm| save_on(&own(comm), &read_on(&path, Share::Cut, comm)?));
    assert!(message.starts_with("rank 2: ") && message.contains("expected a file system that all ranks see"));
    assert_eq!((files(&elsewhere).len(), files(folder.path()).len()), (1, 2));
    assert!(fs::read(&path).unwrap() == good);

    // No folder for anybody: it is said once.
    let nowhere = folder.path().join("nowhere").join("model");
    let message = say(&|comm| save_on(&nowhere, &read_on(&path, Share::Last, comm)?));
    assert!(message.starts_with(nowhere.to_str().unwrap()), "{message}");

    // Every tensor is damaged in turn, cut tables among them.
    let (header, data) = good.split_at(good.len() - data_len(&good));
    for (name, [from, to]) in tensors(header) {
        let mut bad = data.to_vec();
        bad[(from + to) / 8 * 4] ^= 1;
        fs::write(&path, [header, &bad].concat()).unwrap();
        let message = say(&|comm| read_on(&path, Share::Cut, comm).map(drop));
        assert!(message.contains(&format!("the numbers of tensor {name} are not those of its checksum")), "{message}");
    }
}

/// Bytes behind the header.
fn data_len(file: &[u8]) -> usize {
    file.len() - 8 - u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// The tensors of a header, and where each lies behind it.
fn tensors(header: &[u8]) -> Vec<(String, [usize; 2])> {
    let header: serde_json::Value = serde_json::from_slice(&header[8..]).unwrap();
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    tensors.map(|(name, t)| (name.clone(), serde_json::from_value(t["data_offsets"].clone()).unwrap())).collect()
}
