//! A file system of a few megabytes under some directories of a machine, with what they hold, to be filled.

use std::process::Command;

use crate::world::World;

/// It goes when it is dropped, and what it holds goes back.
pub struct SmallDisk<'w> {
    /// What runs a command as root on the machine whose directories they are.
    machine: Machine<'w>,
    mount_point: String,
    directories: Vec<String>,
}

pub type Machine<'w> = Box<dyn Fn() -> Command + 'w>;

impl<'w> SmallDisk<'w> {
    /// `mount_point` is made. The disk has room for so much beside what is there; it is the memory of the machine. Nothing may write
    /// into the directories while it is put under them, or taken away again.
    pub fn under(machine: Machine<'w>, mount_point: &str, megabytes: u32, directories: &[&str]) -> Self {
        let mut script = format!(
            "mkdir {mount_point}\nused=$(du -cm {} | tail -n 1 | cut -f 1)\n\
             mount -t tmpfs -o size=$((used + {megabytes}))M small {mount_point}\n",
            directories.join(" ")
        );
        for directory in directories {
            script += &format!(
                "mkdir -p {mount_point}{directory}\ncp -a {directory}/. {mount_point}{directory}/\n\
                 chown --reference={directory} {mount_point}{directory}\n\
                 chmod --reference={directory} {mount_point}{directory}\n\
                 mount --bind {mount_point}{directory} {directory}\n"
            );
        }
        World::script(machine(), &script);
        let directories = directories.iter().map(ToString::to_string).collect();
        SmallDisk { machine, mount_point: mount_point.to_owned(), directories }
    }

    /// Fills it, but for so much.
    pub fn leave(&self, free_kb: u32) {
        // What was free a moment ago may be somebody's by now.
        self.run(&format!(
            "cd {}\nrm -f filling\n\
             until free=$(df --output=avail -k . | tail -n 1); [ $free -le {free_kb} ] || \
             fallocate -l $(((free - {free_kb}) * 1024)) filling; do :; done",
            self.mount_point
        ));
    }

    /// There is room again.
    pub fn free(&self) {
        self.run(&format!("rm -f {}/filling", self.mount_point));
    }

    fn run(&self, script: &str) {
        World::script((self.machine)(), script);
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let mount_point = &self.mount_point;
        let mut script = format!("rm -f {mount_point}/filling\nmkdir /mnt/below\n");
        for directory in &self.directories {
            script += &format!(
                "mount --bind \"$(dirname {directory})\" /mnt/below\nbelow=/mnt/below/$(basename {directory})\n\
                 find \"$below\" -mindepth 1 -delete\ncp -a {directory}/. \"$below\"/\n\
                 umount -l {directory}\numount /mnt/below\n"
            );
        }
        self.run(&(script + &format!("rmdir /mnt/below\numount -l {mount_point}\nrmdir {mount_point}")));
    }
}
