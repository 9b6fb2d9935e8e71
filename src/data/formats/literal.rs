//! The dictionary in the header of a `.npy` file, which is a Python literal.

/// What is left of the text.
pub(super) struct Literal<'a>(&'a str);

/// What a dictionary says.
#[derive(Debug, PartialEq)]
pub(super) struct Fields<'a> {
    pub descr: &'a str,
    pub fortran_order: bool,
    pub shape: Vec<u64>,
}

impl<'a> Literal<'a> {
    /// The three fields of `{'descr': '<i4', 'fortran_order': False, 'shape': (3, 13), }`, in any order;
    /// `None` if that is not what the text says.
    pub fn fields(text: &'a str) -> Option<Fields<'a>> {
        let mut rest = Literal(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.skip("{").then_some(())?;
        while !rest.skip("}") {
            let key = rest.string()?;
            rest.skip(":").then_some(())?;
            match key {
                "descr" => descr = Some(rest.string()?),
                "fortran_order" => fortran_order = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                _ => return None,
            }
            if !rest.skip(",") && !rest.0.trim_start().starts_with('}') {
                return None;
            }
        }
        rest.0.trim().is_empty().then_some(())?;
        Some(Fields { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }

    /// Whether `token` came next, and was passed over.
    fn skip(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.skip("'") { '\'' } else { self.skip("\"").then_some('"')? };
        let (string, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        Some(string)
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.skip("True") { Some(true) } else { self.skip("False").then_some(false) }
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.skip("(").then_some(())?;
        let mut numbers = Vec::new();
        while !self.skip(")") {
            numbers.push(self.number()?);
            if !self.skip(",") && !self.0.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(numbers)
    }

    /// Python 2 wrote `3L`.
    fn number(&mut self) -> Option<u64> {
        let text = self.0.trim_start();
        let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        self.0 = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().ok()
    }
}
