// SPDX-License-Identifier: MIT
// A stub, not Unreal: see README.md. Modules Slate, SlateCore, Settings, WorkspaceMenuStructure.
#pragma once

#include "CoreStubs.h"

// Doc: SlateCore/Application/SlateApplicationBase.h
class FSlateApplicationBase
{
public:
	static bool IsInitialized();
};

// Doc: SlateCore/Input/Reply.h
class FReply
{
public:
	static FReply Handled();
};

// Doc: SlateCore/Widgets/SWidget.h, DeclarativeSyntaxSupport.h, SCompoundWidget.h
class SWidget
{
};
#define SLATE_BEGIN_ARGS(type) \
	struct FArguments          \
	{                          \
		FArguments()
#define SLATE_END_ARGS() \
	};
template <typename Widget>
struct TStubDeclaration
{
	TSharedRef<Widget> operator<<=(const typename Widget::FArguments& Arguments) const;
};
#define SNew(type, ...) TStubDeclaration<type>() <<= type::FArguments()

class SCompoundWidget : public SWidget
{
protected:
	struct FStubSlot
	{
		FStubSlot& operator[](const TSharedRef<SWidget>& Child);
	};
	FStubSlot ChildSlot;
};

// Doc: SlateCore/Widgets/SBoxPanel.h, Slate/Widgets/Layout/SScrollBox.h
class SVerticalBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& AutoHeight();
		FSlotArguments& FillHeight(float Coefficient);
		FSlotArguments& Padding(float All);
		FSlotArguments& operator[](const TSharedRef<SWidget>& Child);
	};
	static FSlotArguments Slot();
	struct FArguments
	{
		FArguments& operator+(const FSlotArguments& Slot);
	};
};
class SScrollBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& operator[](const TSharedRef<SWidget>& Child);
	};
	static FSlotArguments Slot();
	struct FArguments
	{
		FArguments& operator+(const FSlotArguments& Slot);
	};
};

// Doc: Slate/Widgets/Text/STextBlock.h, Input/SButton.h
class STextBlock : public SWidget
{
public:
	struct FArguments
	{
		template <typename T>
		FArguments& Text(T* Object, FText (T::*Function)() const);
	};
};
class SButton : public SWidget
{
public:
	struct FArguments
	{
		FArguments& Text(const FText& Value);
		template <typename T>
		FArguments& OnClicked(T* Object, FReply (T::*Function)());
	};
};

// Doc: Slate/Widgets/Docking/SDockTab.h, Framework/Docking/TabManager.h
enum ETabRole { NomadTab };
class SDockTab : public SWidget
{
public:
	struct FArguments
	{
		FArguments& TabRole(ETabRole Role);
		FArguments& operator[](const TSharedRef<SWidget>& Child);
	};
};
class FSpawnTabArgs
{
};
class FOnSpawnTab
{
public:
	static FOnSpawnTab CreateStatic(TSharedRef<SDockTab> (*Function)(const FSpawnTabArgs&));
};
class FWorkspaceItem
{
};
struct FTabSpawnerEntry
{
	FTabSpawnerEntry& SetDisplayName(const FText& Name);
	FTabSpawnerEntry& SetTooltipText(const FText& Text);
	FTabSpawnerEntry& SetGroup(const TSharedRef<FWorkspaceItem>& Group);
};
class FGlobalTabmanager
{
public:
	static const TSharedRef<FGlobalTabmanager>& Get();
	FTabSpawnerEntry& RegisterNomadTabSpawner(const FName TabId, const FOnSpawnTab& OnSpawnTab);
	bool UnregisterNomadTabSpawner(const FName TabId);
};

// Doc: WorkspaceMenuStructure/WorkspaceMenuStructure.h, WorkspaceMenuStructureModule.h
class IWorkspaceMenuStructure
{
public:
	virtual TSharedRef<FWorkspaceItem> GetToolsCategory() const = 0;
};
namespace WorkspaceMenu
{
	const IWorkspaceMenuStructure& GetMenuStructure();
}

// Doc: Settings/ISettingsModule.h
class ISettingsModule : public IModuleInterface
{
public:
	virtual void ShowViewer(const FName& ContainerName, const FName& CategoryName, const FName& SectionName) = 0;
};
