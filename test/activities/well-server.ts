/** What a server says of itself that is well, and whose clock shows so many seconds since the epoch. */
export function wellServer(clock = 1000): string {
  return `clock=${clock}
disk=/ 9000 45 /dev/vda1
inodes=/ 80
disk=/var 9000 45 /dev/vda1
inodes=/var 80
restic=0.18.0
nginx=active
nginx=enabled
mariadb=active
php=sabcdefghi active
phpunit=stands
controller=me
load=0.50
processors=2
MemTotal:4000
MemAvailable:2000
SwapTotal:1000
SwapFree:1000
stands=yes
firewall:
ssh=22
up=yes
updates:
every=1
swap:
memory=4096
container=none
free=9000
`;
}
