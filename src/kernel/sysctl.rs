//! `/proc/sys` settings.
