//! A disk that misbehaves on demand: fails the n-th call of a kind with ENOSPC or EIO, tears writes, forgets unsynced bytes.
