//! Words to numbers of embedding rows.

use crate::data::binary::{Keys, RowFile};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The words of a categorical column.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    numbers: HashMap<Box<str>, u32>,
}

impl Vocabulary {
    /// The words of column `column` of a dataset, by their rows.
    pub fn of(dataset: &RowFile, column: usize) -> Result<Vocabulary> {
        let Keys::Words(words) = dataset.keys(column)? else {
            return Err(Error::file(dataset.path(), "no words in its vocabulary, expected a dataset made of a table"));
        };
        let first = u32::from(dataset.header().shared_row);
        Ok(Vocabulary { numbers: words.into_iter().map(String::into_boxed_str).zip(first..).collect() })
    }

    pub fn get(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    /// The number of a word, the next one if it is new; `None` if there is none left.
    pub fn get_or_add(&mut self, word: &str) -> Option<u32> {
        if let Some(number) = self.get(word) {
            return Some(number);
        }
        let number = u32::try_from(self.numbers.len()).ok()?;
        self.numbers.insert(word.into(), number);
        Some(number)
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The words in the order of their numbers, without those that get number 0 of `new_numbers`.
    pub fn into_words(self, new_numbers: Option<&[u32]>) -> Vec<String> {
        let mut words = vec![String::new(); self.numbers.len()];
        self.numbers.into_iter().for_each(|(word, number)| words[number as usize] = word.into_string());
        if let Some(numbers) = new_numbers {
            let mut numbers = numbers.iter();
            words.retain(|_| numbers.next() != Some(&0));
        }
        words
    }
}
