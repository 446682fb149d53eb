// SPDX-License-Identifier: MIT
using UnityEditor;

namespace RestBridge.Editor
{
    /// <summary>
    /// Closes all connections before managed code is unloaded and when play mode ends: a native thread
    /// that outlives its domain is what makes an editor hang at the second press of Play.
    /// </summary>
    [InitializeOnLoad]
    internal static class ReloadGuard
    {
        static ReloadGuard()
        {
            AssemblyReloadEvents.beforeAssemblyReload += OpenClients.CloseAll;
            EditorApplication.quitting += OpenClients.CloseAll;
            EditorApplication.playModeStateChanged += OnPlayModeChanged;
        }

        private static void OnPlayModeChanged(PlayModeStateChange change)
        {
            if (change == PlayModeStateChange.ExitingPlayMode) OpenClients.CloseAll();
        }
    }
}
