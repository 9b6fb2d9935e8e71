//! What ranks that write or read one file together have to agree on.

use crate::comm::Communicator;
use crate::error::{Error, Result};

/// How far a rank is.
const FAILED: u8 = 0;
const DONE: u8 = 1;
const PENDING: u8 = 2;

/// What every rank made, in their order, when all have; none while some are not done. All ranks call it at the same place,
/// each with what it made if it is done.
///
/// # Errors
/// The same on all ranks, and not before all are done: [`Error::Rank`] with the first that failed, and its message; or
/// what all say, if they say the same.
pub(crate) fn poll(comm: &Communicator, mine: Option<&Result<Vec<u8>>>) -> Result<Option<Vec<Vec<u8>>>> {
    let (state, text) = match mine {
        None => (PENDING, Vec::new()),
        Some(Ok(made)) => (DONE, made.clone()),
        Some(Err(error)) => (FAILED, error.to_string().into_bytes()),
    };
    let all = comm.all_gather(&[&[state], &text[..]].concat())?;
    let said: Vec<(u8, &[u8])> = (0..comm.size()).map(|r| (all.part(r)[0], &all.part(r)[1..])).collect();
    if said.iter().any(|&(state, _)| state == PENDING) {
        return Ok(None);
    }
    match said.iter().position(|&(state, _)| state == FAILED) {
        None => Ok(Some(said.iter().map(|(_, made)| made.to_vec()).collect())),
        Some(rank) => {
            let message = String::from_utf8_lossy(said[rank].1).into_owned();
            let same = said.iter().all(|&other| other == said[rank]);
            Err(if same { Error::Config(message) } else { Error::Rank { rank, message } })
        }
    }
}

/// What every rank made, in their order.
///
/// # Errors
/// As [`poll`].
pub(crate) fn agree(comm: &Communicator, mine: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    Ok(poll(comm, Some(&mine))?.expect("nobody is pending"))
}
