//! Room in memory for the rows of an answer.

/// Room in memory for the rows of an answer.
pub trait Room {
    /// Takes room for a row of about this many bytes. Returns false where there is none.
    fn take(&mut self, bytes: usize) -> bool;

    /// Gives back the room of rows that were dropped again.
    fn give_back(&mut self, bytes: usize);
}

/// Room for a number of bytes; and for one row, however large it is.
#[derive(Debug)]
pub struct BytesRoom {
    bytes_max: usize,
    used: usize,
}

impl BytesRoom {
    /// Room for about this many bytes.
    pub fn new(bytes_max: usize) -> BytesRoom {
        BytesRoom { bytes_max, used: 0 }
    }
}

impl Room for BytesRoom {
    fn take(&mut self, bytes: usize) -> bool {
        let used = self.used.saturating_add(bytes);
        let fits = self.used == 0 || used <= self.bytes_max;
        if fits {
            self.used = used;
        }
        fits
    }

    fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_always_fits() {
        let mut room = BytesRoom::new(10);
        assert_eq!([room.take(15), room.take(1)], [true, false]);
        room.give_back(15);
        assert_eq!([room.take(4), room.take(6), room.take(1)], [true, true, false]);
    }
}
