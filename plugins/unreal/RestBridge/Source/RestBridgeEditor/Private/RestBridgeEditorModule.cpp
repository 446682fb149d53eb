// SPDX-License-Identifier: MIT
#include "CoreMinimal.h"
#include "Application/SlateApplicationBase.h"
#include "Framework/Docking/TabManager.h"
#include "Modules/ModuleInterface.h"
#include "Modules/ModuleManager.h"
#include "SRestBridgeStatusPanel.h"
#include "Widgets/Docking/SDockTab.h"
#include "WorkspaceMenuStructure.h"
#include "WorkspaceMenuStructureModule.h"

#define LOCTEXT_NAMESPACE "RestBridgeEditor"

static const FName GStatusTab(TEXT("RestBridgeStatus"));

/** Window > Tools > Rest Bridge. */
class FRestBridgeEditorModule : public IModuleInterface
{
public:
	virtual void StartupModule() override
	{
		FGlobalTabmanager::Get()->RegisterNomadTabSpawner(GStatusTab, FOnSpawnTab::CreateStatic(&FRestBridgeEditorModule::SpawnTab))
			.SetDisplayName(LOCTEXT("Tab", "Rest Bridge"))
			.SetTooltipText(LOCTEXT("TabTooltip", "What the connected faces receive"))
			.SetGroup(WorkspaceMenu::GetMenuStructure().GetToolsCategory());
	}

	virtual void ShutdownModule() override
	{
		// Slate may be gone already when the editor closes.
		if (FSlateApplicationBase::IsInitialized())
		{
			FGlobalTabmanager::Get()->UnregisterNomadTabSpawner(GStatusTab);
		}
	}

private:
	static TSharedRef<SDockTab> SpawnTab(const FSpawnTabArgs&)
	{
		return SNew(SDockTab)
			.TabRole(ETabRole::NomadTab)
			[
				SNew(SRestBridgeStatusPanel)
			];
	}
};

#undef LOCTEXT_NAMESPACE

IMPLEMENT_MODULE(FRestBridgeEditorModule, RestBridgeEditor)
