"""From a download or an archive to the folders that the data sets are read from."""
