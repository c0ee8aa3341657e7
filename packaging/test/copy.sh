#!/usr/bin/env bash
# Runs a command in a copy of this system: an overlay whose changes are in memory, with devices, processes
# and temporary files of its own. The repository at $1 is the real one. To be started in new namespaces.
set -euo pipefail
repository=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=1777 none tmp
# Nothing in the copy sees, or changes, a device of this machine that is more than these.
mount -t tmpfs -o mode=755 none dev
for device in null zero full random urandom tty; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 none dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "dev/${n#*:}"; done
mkdir -p ".$repository" outside
mount --bind "$repository" ".$repository"
pivot_root . outside
umount --lazy /outside
cd "$repository"
exec "$@"
