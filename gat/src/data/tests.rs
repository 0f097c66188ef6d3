//! Readers against real files where they are at hand, and against damaged files made here.

