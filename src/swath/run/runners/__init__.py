"""The runners that come with Swath, one readable file each."""
