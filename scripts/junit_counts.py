"""Prints `passed failed skipped` of a JUnit XML file that pytest wrote."""

import sys
import xml.etree.ElementTree as ElementTree


def main() -> None:
    passed = failed = skipped = 0
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    print(passed, failed, skipped)


if __name__ == "__main__":
    main()
