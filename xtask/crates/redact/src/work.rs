//! How many bytes are decoded, read by rules and compared with literals: what tests hold against the length of a text. It costs nothing
//! outside of them.

#[cfg(test)]
thread_local! {
    static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes that so many bytes were looked at.
#[inline]
pub fn read(bytes: usize) {
    #[cfg(test)]
    READ.with(|read| read.set(read.get() + bytes));
    let _ = bytes;
}

/// All since the last call.
#[cfg(test)]
pub fn taken() -> usize {
    READ.with(std::cell::Cell::take)
}
