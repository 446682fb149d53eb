// SPDX-License-Identifier: MIT
using System;
using NUnit.Framework;

namespace RestBridge.Tests
{
    internal static class Garbage
    {
        /// <summary>Fails where doing something many times takes managed memory.</summary>
        public static void None(int times, Action action)
        {
            for (int index = 0; index < 50; ++index) action();  // what is made once
            GC.Collect();
            int collections = GC.CollectionCount(0);
            long before = GC.GetTotalMemory(true);
            for (int index = 0; index < times; ++index) action();
            long grown = GC.GetTotalMemory(false) - before;
            Assert.AreEqual(0, GC.CollectionCount(0) - collections - 0, "collections");
            // Less than a byte each time: the collector counts in pages.
            Assert.Less(grown, Math.Max(4096, times), "bytes in " + times + " times");
        }
    }
}
