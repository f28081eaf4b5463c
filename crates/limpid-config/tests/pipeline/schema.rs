//! The exported schema against real files.
