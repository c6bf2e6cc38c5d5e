import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

/// Gives the memory of frozen processes back to the machine, as far as there is swap for it.
enum Reclaiming {
    /// The most mappings of one process that are moved out.
    static let maximumMappings = 65_536
    /// The most bytes of one process's list of mappings.
    static let mapsLimit = 8 << 20

    /// What works here: found by asking for nothing of a process of ours.
    static func mechanism(groups: ControlGroups) -> ReclaimMechanism {
        guard hasSwap else { return .none }
        if groups.canReclaim { return .cgroup2 }
        guard
            let child = try? Child.spawn(["/bin/sleep", "60"], environment: [:], folder: "/", descriptors: []),
            let pidfd = try? child.watchDescriptor()
        else { return .none }
        defer {
            child.kill()
            _ = child.wait(limit: .seconds(5))
        }
        return berth_page_out(pidfd.number, 0, 0) == 0 ? .pageout : .none
    }

    /// The part of its memory, one in so many, that a sandbox may keep.
    static let keptPart: Int64 = 4

    /// Moves out what can be; a process that does not allow it keeps its memory.
    ///
    /// What was moved out before and not touched since is out still. The rest is what it works with: while that is no
    /// more than a quarter it stays, so that the next resumption does not wait for the disk.
    static func run(_ mechanism: ReclaimMechanism, _ processes: SandboxProcesses) {
        let (resident, swapped) = processes.all.map(ProcessUsage.residence).reduce((0, 0)) {
            ($0.0 + $1.0, $0.1 + $1.1)
        }
        guard resident * keptPart > resident + swapped else { return }
        switch mechanism {
        case .none: return
        case .cgroup2:
            guard let folder = processes.state.group?.folder(.memory, version: 2),
                let current = KernelFile.number("\(folder.path)/memory.current")
            else { return pageOut(processes) }
            // EAGAIN tells that less was reclaimed than asked for, which is no failure.
            try? KernelFile.write("\(current)", to: "\(folder.path)/memory.reclaim")
        case .pageout: pageOut(processes)
        }
    }

    private static var hasSwap: Bool {
        (KernelFile.text("/proc/swaps")?.split(separator: "\n").count ?? 0) > 1
    }

    private static func pageOut(_ processes: SandboxProcesses) {
        for pid in processes.all {
            let number = berth_pidfd_open(pid)
            guard number >= 0 else { continue }
            let pidfd = Descriptor(number)
            guard let maps = try? SandboxFolder.read("/proc/\(pid)/maps", limit: mapsLimit) else { continue }
            for range in ranges(maps) {
                _ = berth_page_out(pidfd.number, range.lowerBound, range.upperBound - range.lowerBound)
            }
        }
    }

    /// The mappings of /proc/<pid>/maps, neighbours together, without those that belong to the kernel.
    static func ranges(_ maps: [UInt8]) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        for line in maps.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
            guard let addresses = fields.first else { continue }
            if let name = fields.last, name.starts(with: "[v".utf8) { continue }
            let ends = addresses.split(separator: UInt8(ascii: "-"))
            guard ends.count == 2, let low = UInt64(String(decoding: ends[0], as: UTF8.self), radix: 16),
                let high = UInt64(String(decoding: ends[1], as: UTF8.self), radix: 16), low < high
            else { continue }
            if let last = ranges.last, last.upperBound == low {
                ranges[ranges.count - 1] = last.lowerBound..<high
            } else if ranges.count < maximumMappings {
                ranges.append(low..<high)
            }
        }
        return ranges
    }
}
