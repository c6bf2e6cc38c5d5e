import DeploymentCore
import Glibc

/// The files of /etc that are made for a sandbox instead of shown.
enum SystemFiles {
    static let names = ["passwd", "group", "hosts", "nsswitch.conf"]

    /// Writes the files into `folder`; `user` is the number of the user inside.
    static func write(
        to folder: String, hostname: String, hasRoot: Bool = false, user: Int = BubblewrapCommand.user
    ) throws {
        let root = hasRoot ? ("root:x:0:0:root:\(BubblewrapCommand.rootHome):/bin/sh\n", "root:x:0:\n") : ("", "")
        let contents = [
            "passwd": root.0 + "user:x:\(user):\(user):user:\(BubblewrapCommand.home):/bin/sh\n"
                + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            "group": root.1 + "user:x:\(user):\nnogroup:x:65534:\n",
            "hosts": "127.0.0.1 localhost \(hostname)\n::1 localhost \(hostname)\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        ]
        for name in names {
            let path = "\(folder)/\(name)"
            try SandboxFolder.write(Array((contents[name] ?? "").utf8), to: path)
            // Whatever our mask is: those inside are not who wrote them.
            guard chmod(path, 0o644) == 0 else { throw BerthError.system(errno, "\(path) cannot be made readable") }
        }
    }

    /// Makes the places in `folder` that the host's configuration is shown at, once the folder is /etc.
    static func makePlaces(in folder: String) throws {
        for path in BubblewrapCommand.configuration {
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            var place = folder
            for name in path.split(separator: "/").dropFirst() {
                place += "/\(name)"
                let isFile = place.hasSuffix(path.dropFirst("/etc".count)) && status.st_mode & S_IFMT != S_IFDIR
                if isFile {
                    try SandboxFolder.write([], to: place)
                } else if mkdir(place, 0o755) != 0, errno != EEXIST {
                    throw BerthError.system(errno, "\(place) cannot be made")
                }
                guard chmod(place, isFile ? 0o644 : 0o755) == 0 else {
                    throw BerthError.system(errno, "\(place) cannot be made readable")
                }
            }
        }
    }
}
