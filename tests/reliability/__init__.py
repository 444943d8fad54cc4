"""What has to be broken on purpose: archives, disks, processes."""
