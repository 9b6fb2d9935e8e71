//! Stack distances in logarithmic time.
//!
//! Each access has a slot, in order of time, and the slot of a row's last access is marked. The
//! stack distance of a row is then the number of marks from its own on (Bennett and Kruskal 1975,
//! "LRU stack processing"). Marks are counted word by word within a block, and with a Fenwick tree
//! over blocks, which is small enough for the nearest cache. When the slots are used up, the marks
//! move together.

/// Words a block: 512 slots, a cache line.
const WORDS: usize = 8;
const SLOTS: usize = 64 * WORDS;

/// Slots at least. There are always at least twice as many as rows, so that the slots last for as
/// many accesses as there are rows.
const FEWEST_SLOTS: usize = 8 * SLOTS;

/// Rows in order of their last access. Rows are numbered in order of their first.
#[derive(Debug, Clone, Default)]
pub(super) struct LruStack {
    /// The slot of each row's last access.
    last: Vec<u32>,
    /// A bit a slot, set at the last access of a row.
    marks: Vec<[u64; WORDS]>,
    /// A Fenwick tree: element `i` counts the marks of the `2^z` blocks that end with block `i`,
    /// where `i + 1` ends in `z` zero bits.
    tree: Vec<u32>,
    /// The slot of the next access.
    next: usize,
}

impl LruStack {
    /// The stack distance of `row`, 1 for the last one accessed, or 0 if it is new; then it is the
    /// last one accessed. A new row has the least number that is free.
    ///
    /// # Panics
    /// If a new row has another number, or is the 2³¹st.
    pub fn access(&mut self, row: u32) -> u32 {
        if self.next == self.marks.len() * SLOTS {
            self.compact();
        }
        let (rows, slot) = (self.last.len() as u32, self.next as u32);
        let distance = if row == rows {
            assert!(row < 1 << 31, "LruStack: 2^31 rows");
            self.last.push(slot);
            0
        } else {
            let last = std::mem::replace(&mut self.last[row as usize], slot);
            let distance = rows - self.marks_before(last);
            self.flip(last, u32::wrapping_sub);
            distance
        };
        self.flip(slot, u32::wrapping_add);
        self.next += 1;
        distance
    }

    /// Sets or clears the mark of `slot`, and counts it with `count`.
    fn flip(&mut self, slot: u32, count: fn(u32, u32) -> u32) {
        let slot = slot as usize;
        let mut block = slot / SLOTS;
        self.marks[block][slot % SLOTS / 64] ^= 1 << (slot % 64);
        while let Some(sum) = self.tree.get_mut(block) {
            *sum = count(*sum, 1);
            block |= block + 1;
        }
    }

    fn marks_before(&self, slot: u32) -> u32 {
        let slot = slot as usize;
        let mut block = slot / SLOTS;
        let mut count = marks_within(&self.marks[block], slot % SLOTS);
        while block > 0 {
            count += self.tree[block - 1];
            block &= block - 1;
        }
        count
    }

    /// Moves the marks to the first slots, in order, and makes room behind them.
    fn compact(&mut self) {
        let sums = self.marks.iter().scan(0, |sum, block| {
            let before = *sum;
            *sum += marks_within(block, SLOTS);
            Some(before)
        });
        let before: Vec<u32> = sums.collect();
        for slot in &mut self.last {
            let at = *slot as usize;
            *slot = before[at / SLOTS] + marks_within(&self.marks[at / SLOTS], at % SLOTS);
        }
        let rows = self.last.len();
        let blocks = (2 * rows).max(FEWEST_SLOTS).div_ceil(SLOTS);
        let first_marks = |n: usize| if n < 64 { (1 << n) - 1 } else { u64::MAX };
        self.marks.clear();
        self.marks.extend(
            (0..blocks)
                .map(|block| std::array::from_fn(|word| first_marks(rows.saturating_sub(block * SLOTS + word * 64)))),
        );
        self.tree.clear();
        self.tree.extend((0..blocks).map(|block| {
            let first = block & (block + 1);
            (rows.min((block + 1) * SLOTS).saturating_sub(first * SLOTS)) as u32
        }));
        self.next = rows;
    }
}

/// The marks of a block before its slot `end`.
fn marks_within(block: &[u64; WORDS], end: usize) -> u32 {
    let whole: u32 = block[..end / 64].iter().map(|word| word.count_ones()).sum();
    match end % 64 {
        0 => whole,
        bits => whole + (block[end / 64] & ((1 << bits) - 1)).count_ones(),
    }
}
