//! Whether all ranks were told the same.

use super::Communicator;
use crate::error::{Error, Result};

impl Communicator {
    /// Whether every rank has the same lines in `mine`, such as `name = value`: what is compared line by line can be told
    /// line by line. `what` is what the message calls them.
    ///
    /// All ranks must ask, and all get the same answer.
    ///
    /// # Errors
    /// [`Error::Rank`] with the first rank that has something else than rank 0, and the first line in which it has; or
    /// with one that has ended.
    pub fn agree(&self, what: &str, mine: &str) -> Result<()> {
        let all = self.all_gather(mine.as_bytes())?;
        let Some(rank) = (1..self.size()).find(|&rank| all.part(rank) != all.part(0)) else { return Ok(()) };
        let [theirs, expected] = [rank, 0].map(|rank| String::from_utf8_lossy(all.part(rank)));
        let (mut theirs, mut expected) = (theirs.split('\n'), expected.split('\n'));
        let (line, [theirs, expected]) = (1..)
            .map(|line| (line, [theirs.next(), expected.next()]))
            .find(|(_, [theirs, expected])| theirs != expected)
            .expect("a line in which two texts differ");
        let [theirs, expected] =
            [theirs, expected].map(|line| line.map_or("nothing".into(), |line| format!("`{line}`")));
        let message = format!("another {what} than rank 0: {theirs} in line {line}, expected {expected}");
        Err(Error::Rank { rank, message })
    }
}

#[cfg(test)]
mod tests {
    use crate::comm::{Communicator, threads};

    /// What each rank is told, if rank `r` says `texts[r]`.
    fn answers(texts: &[&str]) -> Vec<Result<(), String>> {
        std::thread::scope(|scope| {
            let ask = |(transport, text)| {
                scope
                    .spawn(move || Communicator::new(transport).agree("configuration", text).map_err(|e| e.to_string()))
            };
            let ranks: Vec<_> = threads(texts.len()).into_iter().zip(texts.iter().copied()).map(ask).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_get_the_same_answer() {
        let same = "seed = 1\nlr = 0.1\n";
        assert_eq!(answers(&[same; 4]), vec![Ok(()); 4]);
        assert_eq!(answers(&[""]), vec![Ok(())]);
        for (texts, expected) in [
            (
                [same, same, "seed = 1\nlr = 0.2\n", "seed = 2\nlr = 0.1\n"],
                "rank 2: another configuration than rank 0: `lr = 0.2` in line 2, expected `lr = 0.1`",
            ),
            (
                [same, same, same, "seed = 1"],
                "rank 3: another configuration than rank 0: nothing in line 2, expected `lr = 0.1`",
            ),
            (["", same, same, ""], "rank 1: another configuration than rank 0: `seed = 1` in line 1, expected ``"),
            (
                [same, "seed = 1\nlr = 0.1", same, same],
                "rank 1: another configuration than rank 0: nothing in line 3, expected ``",
            ),
        ] {
            assert_eq!(answers(&texts), vec![Err(expected.to_owned()); 4]);
        }
    }
}
